// One Fisher diagonal out of several: shards of a dataset, or the tasks of online EWC.
#pragma once

#include <optional>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/fisher/diagonal.hpp"

namespace fisherdiag {

struct MergeOptions {
  /// Unset: the diagonal of the union of the parts' samples. Parts normalised by `mean` are weighted with
  /// their samples (batched: with their batches), parts normalised by `sum` are added. Set to gamma in (0,
  /// 1]: online EWC, F <- gamma F_old + F_new in the order of add(), without weights.
  std::optional<double> decay;
  /// Combine parts whose estimator, draws, batch size, likelihood or weights differ. Differing shapes or
  /// normalisations are never combined.
  bool force = false;
};

/// Adds diagonals one after the other in double, so that only one part is in memory at a time.
class FisherMerger {
 public:
  /// Throws ArgumentError for a decay outside (0, 1].
  explicit FisherMerger(MergeOptions options);

  /// Tensors are matched by name; the first part fixes their order. Throws DataError naming what differs from
  /// the first part, or for a part normalised by `mean` that does not say how many samples it has seen.
  /// Different weights are no reason to refuse when `decay` is set: each task has its own.
  void add(const FisherDiagonal& part);

  /// Samples are those of all parts together; weights_sha256 is the last part's with `decay`, else the common
  /// one or empty. Throws ArgumentError if nothing was added, DataError if a sum leaves the range of float.
  FisherDiagonal finish() const;

 private:
  void begin(const FisherDiagonal& first);
  void check_part(const FisherDiagonal& part) const;

  MergeOptions options_;
  std::vector<ParameterTensor> tensors_;
  AlignedBuffer<double> sums_;
  FisherMetadata metadata_;
  double weight_ = 0;
  std::size_t parts_ = 0;
};

}  // namespace fisherdiag
