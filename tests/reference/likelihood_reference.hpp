// The oracle's likelihoods: float64, one sample at a time. Never used in production.
#pragma once

#include <cstdint>

#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "reference/mlp_reference.hpp"

namespace fisherdiag::reference {

/// softmax(z); each p is 1 / sum_j exp(z_j - z_c), so that nothing is lost near 0.
Vector softmax(const Vector& z);

/// -log p(target | z) in nats; target holds one class index (categorical) or one value per output.
double nll(Likelihood likelihood, const Vector& z, const Vector& target);

/// d nll / dz.
Vector nll_gradient(Likelihood likelihood, const Vector& z, const Vector& target);

/// Covariance of d nll / dz under the model's own targets, [C, C] row-major.
Vector score_covariance(Likelihood likelihood, const Vector& z);

/// Lower-triangular L with L L^T = m [n, n], columns of vanishing pivots zero: the textbook Cholesky
/// recursion.
Vector cholesky(const Vector& m, std::size_t n);

/// The most probable target.
Vector mode(Likelihood likelihood, const Vector& z);

/// The d nll / dz that the mc estimator uses for its draws of `sample`, in order (docs/estimators.md):
/// RandomStream(seed, kMonteCarlo, sample); categorical: one uniform u per draw, the first class whose
/// cumulative probability exceeds u; gaussian: one normal per output; bernoulli: one uniform u per output, y
/// = u < p; poisson: draw_poisson_excess per output, whose distribution has its own test.
std::vector<Vector> drawn_gradients(Likelihood likelihood, const Vector& z, const Estimator& estimator,
                                    std::uint64_t sample);

/// L e / sqrt(S) for the S draws of sketch: e from RandomStream(seed, kSketch, sample), whole words per draw,
/// the sign of column k minus if bit k % 32 of word k / 32 is set.
std::vector<Vector> sketch_seeds(Likelihood likelihood, const Vector& z, const Estimator& estimator,
                                 std::uint64_t sample);

}  // namespace fisherdiag::reference
