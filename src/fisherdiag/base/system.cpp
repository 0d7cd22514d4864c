#include "fisherdiag/base/system.hpp"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace fisherdiag {

namespace {

constexpr std::uint64_t kKibi = 1024;

/// The value after "KEY:" in a /proc file; empty if there is none.
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const std::size_t colon = line.find(':');
    const std::size_t start = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (start != std::string::npos) return line.substr(start);
  }
  return {};
}

/// A size of /proc/self/status in bytes; 0 if there is none.
std::uint64_t process_bytes(const std::string& key) {
  std::istringstream value(proc_value("/proc/self/status", key));
  std::uint64_t kibibytes = 0;
  return value >> kibibytes ? kibibytes * kKibi : 0;
}

/// A processor's folder is this with its number. None is listed with std::filesystem's iterator: libstdc++'s
/// ends the process where an allocation in it fails.
constexpr std::string_view kCpus = "/sys/devices/system/cpu/cpu";

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// "32K", "1024K" or "16M" as sysfs writes cache sizes.
std::size_t sysfs_size(const std::string& text) {
  std::istringstream stream(text);
  std::size_t number = 0;
  char unit = 'B';
  stream >> number >> unit;
  return unit == 'K' ? number * kKibi : unit == 'M' ? number * kKibi * kKibi : number;
}

}  // namespace

std::uint64_t peak_rss_bytes() {
  // ru_maxrss also counts the program this process replaced on exec, so /proc is asked first.
  if (const std::uint64_t high_water = process_bytes("VmHWM")) return high_water;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
#ifdef __APPLE__
  return static_cast<std::uint64_t>(usage.ru_maxrss);
#else
  return static_cast<std::uint64_t>(usage.ru_maxrss) * kKibi;
#endif
}

std::uint64_t resident_bytes() {
  return process_bytes("VmRSS");
}

void reset_peak_rss() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

std::string cpu_model() {
  const std::string model = proc_value("/proc/cpuinfo", "model name");
  return model.empty() ? "unknown CPU" : model;
}

int physical_cores() {
  std::set<std::string> cores;
  for (long cpu = 0; cpu < ::sysconf(_SC_NPROCESSORS_CONF); ++cpu) {
    const std::string siblings =
        first_line(std::string(kCpus) + std::to_string(cpu) + "/topology/thread_siblings_list");
    if (!siblings.empty()) cores.insert(siblings);
  }
  if (!cores.empty()) return static_cast<int>(cores.size());
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int affinity_cpus() {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

CacheSizes cache_sizes() {
  CacheSizes sizes;
  for (int index = 0;; ++index) {
    const std::string cache = std::string(kCpus) + "0/cache/index" + std::to_string(index);
    const std::string level = first_line(cache + "/level");
    if (level.empty()) break;
    if (first_line(cache + "/type") == "Instruction") continue;
    const std::size_t size = sysfs_size(first_line(cache + "/size"));
    if (level == "1") sizes.l1_data = size;
    if (level == "2") sizes.l2 = size;
    if (level == "3") sizes.l3 = size;
  }
  return sizes;
}

double thread_cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace fisherdiag
