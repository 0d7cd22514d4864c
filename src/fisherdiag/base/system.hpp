// Facts about this machine and this process that results are reported with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace fisherdiag {

/// Largest resident memory of this process so far, in bytes; 0 where the system does not tell.
std::uint64_t peak_rss_bytes();

/// Resident memory of this process now, in bytes; 0 where the system does not tell.
std::uint64_t resident_bytes();

/// Processor time of the calling thread so far, in seconds.
double thread_cpu_seconds();

/// Makes peak_rss_bytes() count from now on, where the system allows it.
void reset_peak_rss();

/// The processor's own name, or "unknown CPU".
std::string cpu_model();

/// Physical cores of the machine (two hardware threads of one core count once), at least 1.
int physical_cores();

/// Logical CPUs this process may run on by its affinity mask, at least 1.
int affinity_cpus();

/// Data caches as CPU 0 sees them, in bytes; 0 where the system does not tell.
struct CacheSizes {
  std::size_t l1_data = 0;
  std::size_t l2 = 0;
  std::size_t l3 = 0;

  /// The largest of them.
  std::size_t last_level() const { return l3 ? l3 : l2 ? l2 : l1_data; }
};

CacheSizes cache_sizes();

}  // namespace fisherdiag
