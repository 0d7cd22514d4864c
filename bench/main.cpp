// fisherdiag-bench: measures kernels, Fisher passes and training steps.
//
// Rates are computed from the wall clock inside each benchmark, because the work runs on oneTBB's threads;
// names stay free of Google Benchmark's time-type suffixes that way.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/machine_probe.hpp"
#include "support/counters.hpp"
#include "support/register.hpp"

namespace {

using namespace fisherdiag;

/// 1, 2, 4, ... and all threads this process may use.
std::vector<int> thread_counts() {
  const int all = default_threads();
  std::vector<int> counts;
  for (int t = 1; t < all; t *= 2) counts.push_back(t);
  counts.push_back(all);
  return counts;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

void add_context(const bench::Settings& settings) {
  std::string isas;
  for (Isa isa : settings.isas) isas += (isas.empty() ? "" : " ") + std::string(isa_name(isa));
  const int all = settings.threads.back();
  const MachinePeak one = measure_machine_peak(bench::shared_context(1, settings.isa));
  const MachinePeak every = measure_machine_peak(bench::shared_context(all, settings.isa));
  benchmark::AddCustomContext("fisherdiag_version", std::string(version()));
  benchmark::AddCustomContext("git_commit", FISHERDIAG_GIT_COMMIT);
  benchmark::AddCustomContext("compiler", std::string(compiler()));
  benchmark::AddCustomContext("project_build_type", FISHERDIAG_BUILD_TYPE);
  benchmark::AddCustomContext("isa", std::string(isa_name(settings.isa)));
  benchmark::AddCustomContext("isas", isas);
  benchmark::AddCustomContext("threads", std::to_string(all));
  benchmark::AddCustomContext("cpu_model", cpu_model());
  benchmark::AddCustomContext("peak_flops_1_thread", number(one.multiply_add_flops));
  benchmark::AddCustomContext("peak_flops_all_threads", number(every.multiply_add_flops));
  benchmark::AddCustomContext("bandwidth_1_thread", number(one.triad_bytes_per_second));
  benchmark::AddCustomContext("bandwidth_all_threads", number(every.triad_bytes_per_second));
}

bool lists_only(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]).starts_with("--benchmark_list_tests")) return true;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const bench::Settings settings{thread_counts(), available_isas(), default_isa()};
    const bool measure = !lists_only(argc, argv);
    bench::register_kernel_benchmarks(settings);
    bench::register_fisher_benchmarks(settings);
    bench::register_preset_benchmarks(settings);
    bench::register_step_benchmarks(settings);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    if (measure) add_context(settings);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fisherdiag-bench: %s\n", error.what());
    return 3;
  }
}
