// Linux hardware counters of this process: cycles, instructions, last-level cache misses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace fisherdiag {

/// Counts since construction, over all threads; nothing for an event the machine does not count.
struct PerfCounts {
  std::optional<std::uint64_t> cycles;
  std::optional<std::uint64_t> instructions;
  std::optional<std::uint64_t> cache_misses;  ///< of the last level
};

/// Counts user-level events of the calling thread and of every thread started after construction, so it must
/// be made before the threads that are to be counted. Events that share a counter are scaled to the whole
/// time. Never throws: where nothing can be counted, reason() says why in one sentence.
class PerfCounters {
 public:
  PerfCounters();
  ~PerfCounters();
  PerfCounters(const PerfCounters&) = delete;
  PerfCounters& operator=(const PerfCounters&) = delete;

  /// True if at least one event is counted.
  bool available() const;
  /// Why not; empty if available.
  const std::string& reason() const { return reason_; }
  PerfCounts read() const;

 private:
  static constexpr std::size_t kEvents = 3;
  std::array<int, kEvents> descriptors_{-1, -1, -1};
  std::string reason_;
};

}  // namespace fisherdiag
