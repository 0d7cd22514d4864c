// A profile in figures that add up: busy, idle and waiting time of all threads.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "fisherdiag/fisher/profile.hpp"

namespace fisherdiag {

struct PassProfileLine {
  PassPhase phase = PassPhase::Load;
  std::optional<std::size_t> layer;  ///< nothing: the whole phase
  double thread_seconds = 0;         ///< over all threads
  double share = 0;                  ///< of threads x wall seconds
  double flops = 0;                  ///< executed; 0 where operations are not what the phase is about
  double flops_per_second = 0;       ///< of one thread while it is in this phase
  std::uint64_t spans = 0;
};

/// phases + idle + waiting + other = threads x wall: every thread's time is somewhere.
struct PassProfileSummary {
  double wall_seconds = 0;
  std::size_t threads = 1;
  std::vector<PassProfileLine> phases;  ///< those that took place, in their order
  std::vector<PassProfileLine> layers;  ///< Forward, Backward and Accumulate, layer by layer
  /// Thread seconds inside a region without a task: at its end the others wait for the last one.
  std::array<double, kPassRegions> idle_seconds{};
  /// Of a region: busy time of the busiest thread over the mean of all, minus 1.
  std::array<double, kPassRegions> imbalance{};
  double waiting_seconds = 0;  ///< thread seconds of the others while one thread works alone
  double other_seconds = 0;    ///< of the one thread: allocation, opening files, what has no phase
};

/// `end` as PassProfile::now(); wall time runs from the profile's origin.
PassProfileSummary summarize(const PassProfile& profile, std::int64_t end);

}  // namespace fisherdiag
