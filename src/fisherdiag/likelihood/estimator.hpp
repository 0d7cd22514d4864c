// Which diagonal: an estimator is a choice of seed vectors in logit space (docs/estimators.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fisherdiag {

enum class EstimatorKind {
  Empirical,   ///< gradient at the data's label
  Exact,       ///< expectation over the model's own labels: the true Fisher
  MonteCarlo,  ///< labels drawn from the model
  Sketch,      ///< random signs times the exact factor: unbiased, bounded variance
  Predicted,   ///< gradient at the most probable label
  Batched,     ///< gradients of a batch added before squaring; what others do, not a Fisher diagonal
};

/// "empirical", "exact", "mc", "sketch", "predicted" or "batched".
std::string_view estimator_name(EstimatorKind kind);
std::optional<EstimatorKind> estimator_from_name(std::string_view name);

/// What is a sample of the likelihood where a network gives an output at each position of a sequence.
enum class LikelihoodUnit {
  Sequence,  ///< the labels' log-likelihoods are summed over positions: one gradient for each sequence
  Token,     ///< each position's own gradient is squared
};

/// "sequence" or "token".
std::string_view likelihood_unit_name(LikelihoodUnit unit);
std::optional<LikelihoodUnit> likelihood_unit_from_name(std::string_view name);

struct Estimator {
  EstimatorKind kind = EstimatorKind::Empirical;
  std::size_t draws = 1;         ///< S of mc and sketch
  std::uint64_t seed = 1;        ///< key of every random draw
  std::size_t batch_size = 128;  ///< of batched
  LikelihoodUnit unit = LikelihoodUnit::Sequence;
};

}  // namespace fisherdiag
