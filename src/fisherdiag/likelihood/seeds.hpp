// Seed vectors: what an estimator back-propagates (docs/estimators.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"

namespace fisherdiag {

/// Columns k per sample: empirical, predicted, batched 1; mc, sketch S; exact C-1 (categorical) or C. With
/// outputs at several positions exact has that many for each of them, and so have all with
/// LikelihoodUnit::Token.
std::size_t seed_columns(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
                         std::size_t positions = 1);

/// True if the estimator needs the data's targets (empirical, batched).
bool needs_targets(EstimatorKind kind);

/// Throws ArgumentError for a pair that has no meaning (predicted with gaussian is identically zero), S == 0,
/// batch_size == 0, or categorical with fewer than 2 outputs.
void check_estimator(const Estimator& estimator, Likelihood likelihood, std::size_t outputs);

/// The seeds of one block of samples: F = norm sum_n sum_k (J_n^T s_nk)^2 for s_nk in R^C. One worker's
/// scratch; prepare() may be called again and again. Draws depend only on (estimator.seed, sample, draw).
class SeedBlock {
 public:
  /// `positions` rows that follow each other belong to one sample and share its stream of draws: within a
  /// draw one row after the other.
  SeedBlock(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
            const kernels::KernelTable& kernels, std::size_t positions = 1);
  ~SeedBlock();
  SeedBlock(SeedBlock&&) noexcept;

  /// logits [n, C]; targets [n, 1] (categorical: class index) or [n, C], no rows if !needs_targets; samples:
  /// index of each row in its dataset (names rows in errors, keys random draws). Throws DataError naming the
  /// sample for a logit that is not finite, a label that is not a whole number in [0, C), a Bernoulli target
  /// that is not 0 or 1, a negative or fractional Poisson count. weights: empty, or w_r >= 0 for each row,
  /// and then F = norm sum_n w_n sum_k (J_n^T s_nk)^2: the seeds below come times sqrt(w_r), their squares
  /// times w_r. ArgumentError for another count, or for batched, whose gradients are added before they are
  /// squared.
  void prepare(MatrixView<const float> logits, MatrixView<const float> targets,
               std::span<const std::uint64_t> samples, std::span<const float> weights = {});

  /// Bytes a block of `rows` rows takes.
  static std::size_t bytes(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
                           std::size_t rows);

  std::size_t columns() const;
  /// seeds(r, c) = s_{r,k}[c] for the prepared rows; seeds [n, C].
  void write(std::size_t k, MatrixView<float> seeds) const;
  /// squares(r, c) = sum_k s_{r,k}[c]^2 in closed form (exact: p(1-p), 1, or the rate); squares [n, C].
  void write_squares(MatrixView<float> squares) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Negative log-likelihood of each row in nats, and its gradient with respect to the logits.
/// logits [n, C], targets as in SeedBlock::prepare; residuals [n, C] = d nll / d z, which may be the
/// logits' own memory; returns the sum of nll over rows. Residuals are computed without cancellation: the
/// label's own entry is -(sum of the other probabilities).
double nll_and_residuals(Likelihood likelihood, MatrixView<const float> logits,
                         MatrixView<const float> targets, std::span<const std::uint64_t> samples,
                         const kernels::KernelTable& kernels, MatrixView<float> residuals);

}  // namespace fisherdiag
