// --profile and --trace of a computation.
#pragma once

#include <memory>
#include <string>

#include "cli/compute_options.hpp"
#include "cli/output.hpp"
#include "fisherdiag/base/perf_counters.hpp"
#include "fisherdiag/fisher/profile.hpp"
#include "fisherdiag/nn/architecture.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag::cli {

/// Made before the Context, so that hardware counters see its threads.
class Profiling {
 public:
  explicit Profiling(const ComputeOptions& options);

  /// Starts the clock if a profile or trace was asked for.
  void start(const Context& context);
  /// nullptr if nothing is recorded.
  PassProfile* profile() { return profile_.get(); }
  /// The track of what one thread does alone; nullptr if nothing is recorded.
  PassTrack* track() { return profile_ ? &profile_->main_track() : nullptr; }
  /// Stops the clock and writes the trace if one was asked for. Throws IoError.
  void finish(const Architecture& architecture);

  /// After finish(), with --profile: JSON, or a table for people.
  Json to_json(const Architecture& architecture) const;
  std::string to_text(const Architecture& architecture) const;

 private:
  bool wanted_;
  std::string trace_;
  std::unique_ptr<PerfCounters> counters_;
  std::unique_ptr<PassProfile> profile_;
  PerfCounts begin_, end_;
  std::int64_t finished_ = 0;
};

}  // namespace fisherdiag::cli
