#include "fisherdiag/fisher/machine_probe.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/kernels/table.hpp"

namespace fisherdiag {

namespace {

constexpr double kRunSeconds = 0.02;
constexpr int kRuns = 12;
constexpr int kSweeps = 5;
constexpr std::size_t kSmallestArray = std::size_t{64} << 20;
constexpr std::size_t kLargestArray = std::size_t{256} << 20;
constexpr std::size_t kTasksPerThread = 4;  // evens out a thread that starts late

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// flop/s of one run of `iterations` on every thread.
double multiply_add_run(const Context& context, const kernels::KernelTable& kernels, std::size_t iterations) {
  std::vector<double> flops(static_cast<std::size_t>(context.threads()));
  const auto start = std::chrono::steady_clock::now();
  context.parallel_for(flops.size(), [&](std::size_t task, std::size_t) {
    flops[task] = kernels.multiply_add_probe(iterations);
  });
  const double seconds = seconds_since(start);
  double sum = 0;
  for (const double task : flops) sum += task;
  return sum / seconds;
}

/// Rounds of the probe that take about kRunSeconds on one thread.
std::size_t iterations_per_run(const kernels::KernelTable& kernels) {
  for (std::size_t iterations = 1024;; iterations *= 4) {
    const auto start = std::chrono::steady_clock::now();
    kernels.multiply_add_probe(iterations);
    const double seconds = seconds_since(start);
    if (seconds > kRunSeconds / 8)
      return static_cast<std::size_t>(static_cast<double>(iterations) * kRunSeconds / seconds) + 1;
  }
}

}  // namespace

double measure_multiply_add_flops(const Context& context) {
  const kernels::KernelTable& kernels = kernels::kernel_table(context.isa());
  const std::size_t iterations = iterations_per_run(kernels);
  double best = 0;
  for (int run = 0; run < kRuns; ++run) best = std::max(best, multiply_add_run(context, kernels, iterations));
  return best;
}

double measure_triad_bandwidth(const Context& context) {
  const kernels::KernelTable& kernels = kernels::kernel_table(context.isa());
  const std::size_t bytes = std::clamp(2 * cache_sizes().last_level(), kSmallestArray, kLargestArray);
  const std::size_t tasks = kTasksPerThread * static_cast<std::size_t>(context.threads());
  const std::size_t chunk = bytes / sizeof(float) / tasks;
  AlignedBuffer<float> x(chunk * tasks), y(chunk * tasks), z(chunk * tasks);
  // Memory that was never written reads as one page of zeros, from a cache.
  context.parallel_for(tasks, [&](std::size_t task, std::size_t) {
    std::fill_n(x.data() + task * chunk, chunk, 1.0f);
    std::fill_n(y.data() + task * chunk, chunk, 1.0f);
  });
  std::vector<double> moved(tasks);
  double best = 0;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    const auto start = std::chrono::steady_clock::now();
    context.parallel_for(tasks, [&](std::size_t task, std::size_t) {
      const std::size_t first = task * chunk;
      moved[task] = kernels.triad_probe(x.data() + first, y.data() + first, 0.5f, z.data() + first, chunk);
    });
    const double seconds = seconds_since(start);
    double sum = 0;
    for (const double task : moved) sum += task;
    best = std::max(best, sum / seconds);
  }
  return best;
}

MachinePeak measure_machine_peak(const Context& context) {
  return {measure_multiply_add_flops(context), measure_triad_bandwidth(context)};
}

}  // namespace fisherdiag
