#include "support/counters.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "fisherdiag/base/system.hpp"
#include "fisherdiag/fisher/machine_probe.hpp"

namespace fisherdiag::bench {

namespace {

using Clock = std::chrono::steady_clock;

/// Bandwidth needs large arrays and most of a second, so it is measured once per context.
double bandwidth(const Context& context) {
  static std::map<const Context*, double> known;
  auto [entry, is_new] = known.try_emplace(&context, 0.0);
  if (is_new) entry->second = measure_triad_bandwidth(context);
  return entry->second;
}

}  // namespace

const Context& shared_context(int threads, Isa isa) {
  static std::map<std::pair<int, Isa>, std::unique_ptr<Context>> contexts;
  std::unique_ptr<Context>& context = contexts[{threads, isa}];
  if (!context) context = std::make_unique<Context>(threads, isa);
  return *context;
}

void run_timed(benchmark::State& state, const Context& context, const Work& work,
               const std::function<double()>& body) {
  const double bytes_peak = work.bytes > 0 ? bandwidth(context) : 0;
  const double before = work.flops > 0 ? measure_multiply_add_flops(context) : 0;
  reset_peak_rss();
  double seconds = 0;
  for (auto _ : state) {
    const Clock::time_point start = Clock::now();
    const double counted = body();
    seconds += counted >= 0 ? counted : std::chrono::duration<double>(Clock::now() - start).count();
  }
  const double rate = static_cast<double>(state.iterations()) / seconds;
  if (work.samples > 0) state.counters["samples_per_second"] = work.samples * rate;
  if (work.flops > 0) {
    state.counters["flops"] = work.flops * rate;
    const double peak = 0.5 * (before + measure_multiply_add_flops(context));
    state.counters["peak_fraction"] = work.flops * rate / peak;
  }
  if (work.bytes > 0) {
    state.counters["bytes_per_second"] = work.bytes * rate;
    state.counters["bandwidth_fraction"] = work.bytes * rate / bytes_peak;
  }
  state.counters["peak_rss_bytes"] = static_cast<double>(peak_rss_bytes());
}

}  // namespace fisherdiag::bench
