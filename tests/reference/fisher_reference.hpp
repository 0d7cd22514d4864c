// The oracle's Fisher: float64, one sample at a time, each estimator by its definition. Never used in
// production.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fisherdiag/fisher/diagonal.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "reference/likelihood_reference.hpp"
#include "reference/mlp_reference.hpp"

namespace fisherdiag::reference {

/// Samples as the oracle sees them; values are exactly representable in float.
struct Samples {
  std::size_t features = 0;
  std::size_t target_width = 0;  ///< 1: class index
  TargetKind kind = TargetKind::Labels;
  std::vector<float> inputs;   ///< [N, features]
  std::vector<float> targets;  ///< [N, target_width]

  std::size_t size() const { return inputs.size() / features; }
  Vector input(std::size_t n) const;
  Vector target(std::size_t n) const;
};

/// N samples with uniform inputs in [-1, 1) and targets drawn at random for the likelihood; `inputs` and
/// `outputs` as of the network they are for.
Samples random_samples(std::size_t count, std::size_t inputs, std::size_t outputs, Likelihood likelihood,
                       std::uint64_t seed);

/// The same samples as a dataset of the library.
std::unique_ptr<Dataset> to_dataset(const Samples& samples);

/// Diagonal of the Fisher by the definition of the estimator, divided by the number of samples (batched: of
/// batches, each batch's gradient being the mean over its samples) or not at all.
Vector fisher_diagonal(const Mlp& mlp, const Samples& samples, const Estimator& estimator,
                       Likelihood likelihood, Normalization normalization);

/// The term of sample n alone in that sum; not of batched.
Vector sample_diagonal(const Mlp& mlp, const Samples& samples, std::size_t n, const Estimator& estimator,
                       Likelihood likelihood);

/// The true Fisher, whole: sum_n J_n^T cov_n J_n [P, P] row-major, divided by N. For tiny networks.
Vector full_fisher(const Mlp& mlp, const Samples& samples, Likelihood likelihood);

/// |a - b| / |b| in the Euclidean norm.
double relative_error(const std::vector<float>& a, const Vector& b);
double relative_error(const Vector& a, const Vector& b);

}  // namespace fisherdiag::reference
