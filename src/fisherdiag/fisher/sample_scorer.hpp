// What score_samples() does to a block of samples. Internal to fisher/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "fisherdiag/fisher/block_reader.hpp"
#include "fisherdiag/likelihood/estimator.hpp"

namespace fisherdiag {

class SampleScorer {
 public:
  SampleScorer() = default;
  SampleScorer(const SampleScorer&) = delete;
  SampleScorer& operator=(const SampleScorer&) = delete;
  virtual ~SampleScorer() = default;

  /// Samples one thread takes at a time.
  virtual std::size_t chunk_rows() const = 0;
  /// Scores rows [first, first + count) of a block into norms and strata of the same rows.
  virtual void score(const BlockReader& block, std::size_t first, std::size_t count, std::size_t worker,
                     float* norms, std::uint64_t* strata) = 0;
};

/// The estimator whose squared seeds are the scores: exact for those that draw.
inline Estimator scored(Estimator estimator) {
  if (estimator.kind == EstimatorKind::MonteCarlo || estimator.kind == EstimatorKind::Sketch)
    estimator.kind = EstimatorKind::Exact;
  return estimator;
}

/// The places of the largest and the second largest value, the earlier one in a tie; of one value twice the
/// same.
inline std::uint64_t stratum(const float* squares, std::size_t outputs) {
  std::size_t first = 0, second = outputs > 1 ? 1 : 0;
  if (squares[second] > squares[first]) std::swap(first, second);
  for (std::size_t c = 2; c < outputs; ++c)
    if (squares[c] > squares[first]) {
      second = first;
      first = c;
    } else if (squares[c] > squares[second]) {
      second = c;
    }
  return std::uint64_t{first} << 32 | second;
}

}  // namespace fisherdiag
