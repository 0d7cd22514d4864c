// What a Fisher pass will cost, before it runs.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/fisher/compute.hpp"

namespace fisherdiag {

struct PlanRequest {
  std::size_t samples = 0;           ///< in the dataset, of which a subset may take fewer
  std::size_t base_bytes = 0;        ///< what the process holds without network and pass
  std::vector<int> threads;          ///< to extrapolate to
  const Network* network = nullptr;  ///< nullptr: random weights
  Dataset* data =
      nullptr;  ///< rows to measure with; nullptr: synthetic ones, half of whose features are zero
};

/// What keeps a number of threads from being faster.
enum class PlanLimit { Compute, Memory, Serial };

/// "compute", "memory" or "serial".
std::string_view plan_limit_name(PlanLimit limit);

struct ThreadPlan {
  int threads = 1;
  double seconds = 0;
  PlanLimit limit = PlanLimit::Compute;  ///< the largest part of `seconds`
};

struct FisherPlan {
  std::size_t samples = 0;         ///< that are summed; with `until`, at most
  std::size_t scored_samples = 0;  ///< that an importance subset looks at first
  std::size_t block_rows = 0;
  double flops = 0;
  double seconds = 0;           ///< as FisherStatistics::seconds: without reading data
  double fixed_seconds = 0;     ///< of them: once per pass, mostly by one thread
  double bytes_moved = 0;       ///< between memory and caches, at least
  double bytes_per_second = 0;  ///< triad bandwidth measured with all threads of the context
  std::size_t peak_bytes = 0;   ///< largest resident memory of the process
  double calibration_seconds = 0;
  bool narrowed =
      false;  ///< measured on a narrower network, because the model is too large to measure quickly
  std::vector<ThreadPlan> scaling;
};

/// Predicts compute_fisher by running it on a few blocks of the model's own shape (docs/profiling.md), which
/// takes about a second, and the memory of the process from the sizes of all buffers. Errors as
/// compute_fisher.
FisherPlan plan_fisher(const Architecture& architecture, const PlanRequest& request,
                       const FisherOptions& options, const Context& context);

/// Least bytes a pass over `samples` samples moves between memory and caches of `last_level` bytes.
double fisher_bytes_moved(const Architecture& architecture, const Estimator& estimator, std::size_t samples,
                          std::size_t last_level);

}  // namespace fisherdiag
