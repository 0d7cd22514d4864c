// The CPU share this process really has. oneTBB knows the affinity mask but not a container's CPU quota.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "fisherdiag/parallel/context.hpp"

#ifdef __linux__
#include <sched.h>
#endif

namespace fisherdiag {

namespace {

constexpr double kNoQuota = 1e9;

/// CPUs allowed by a cgroup v2 `cpu.max` file ("max 100000" or "150000 100000").
double cgroup2_quota(const std::string& path) {
  std::ifstream file(path);
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return kNoQuota;
  return std::strtod(quota.c_str(), nullptr) / period;
}

double cgroup1_quota(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) return kNoQuota;
  return quota / period;
}

/// The strictest quota from this process's own group up to the root.
double cpu_quota() {
  double quota = std::min(cgroup2_quota("/sys/fs/cgroup/cpu.max"), cgroup1_quota("/sys/fs/cgroup/cpu"));
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    for (std::string group = line.substr(3); group.size() > 1; group.resize(group.find_last_of('/')))
      quota = std::min(quota, cgroup2_quota("/sys/fs/cgroup" + group + "/cpu.max"));
  }
  return quota;
}

int affinity_threads() {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int default_threads() {
  const double quota = std::max(1.0, std::ceil(cpu_quota()));
  return static_cast<int>(std::min<double>(affinity_threads(), quota));
}

}  // namespace fisherdiag
