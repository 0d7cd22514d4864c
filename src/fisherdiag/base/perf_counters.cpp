#include "fisherdiag/base/perf_counters.hpp"

#ifdef __linux__
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif

namespace fisherdiag {

#ifdef __linux__

namespace {

constexpr std::array<std::uint64_t, 3> kHardwareEvents = {
    PERF_COUNT_HW_CPU_CYCLES, PERF_COUNT_HW_INSTRUCTIONS, PERF_COUNT_HW_CACHE_MISSES};

/// A descriptor, or -1 with errno set.
int open_event(std::uint64_t event) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.size = sizeof(attributes);
  attributes.config = event;
  attributes.inherit = 1;         // threads started later
  attributes.exclude_kernel = 1;  // what unprivileged processes may count
  attributes.exclude_hv = 1;
  attributes.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  return static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

std::string reason_of(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return "no hardware counters: the system forbids them to this user; lower kernel.perf_event_paranoid "
             "to 2 or less, "
             "or allow perf_event_open in the container";
    case ENOENT:
    case ENODEV:
    case EOPNOTSUPP:
      return "no hardware counters: this machine has none, as most virtual machines";
    case ENOSYS:
      return "no hardware counters: the kernel was built without perf_event_open or the container blocks it";
    default:
      return std::string("no hardware counters: perf_event_open: ") + std::strerror(error);
  }
}

/// Nothing if it was never scheduled onto a counter.
std::optional<std::uint64_t> read_event(int descriptor) {
  struct {
    std::uint64_t value, enabled, running;
  } count{};
  if (descriptor < 0 || ::read(descriptor, &count, sizeof(count)) != sizeof(count) || count.running == 0)
    return std::nullopt;
  const double scale = static_cast<double>(count.enabled) / static_cast<double>(count.running);
  return static_cast<std::uint64_t>(static_cast<double>(count.value) * scale);
}

}  // namespace

PerfCounters::PerfCounters() {
  int error = 0;
  for (std::size_t e = 0; e < kEvents; ++e) {
    descriptors_[e] = open_event(kHardwareEvents[e]);
    if (descriptors_[e] < 0 && error == 0) error = errno;
  }
  if (!available()) reason_ = reason_of(error);
}

PerfCounters::~PerfCounters() {
  for (const int descriptor : descriptors_)
    if (descriptor >= 0) close(descriptor);
}

PerfCounts PerfCounters::read() const {
  return {read_event(descriptors_[0]), read_event(descriptors_[1]), read_event(descriptors_[2])};
}

#else

PerfCounters::PerfCounters() : reason_("no hardware counters: they are read on Linux only") {}
PerfCounters::~PerfCounters() = default;
PerfCounts PerfCounters::read() const {
  return {};
}

#endif

bool PerfCounters::available() const {
  for (const int descriptor : descriptors_)
    if (descriptor >= 0) return true;
  return false;
}

}  // namespace fisherdiag
