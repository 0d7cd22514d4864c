// kernel/penalty, kernel/adam_step, kernel/to_strips, kernel/softmax, kernel/triad: one sweep over memory
// each.
#include <cmath>
#include <numeric>

#include "fisherdiag/ewc/penalty.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"
#include "kernels/kernel_benches.hpp"
#include "support/counters.hpp"
#include "support/inputs.hpp"

namespace fisherdiag::bench {

namespace {

using kernels::KernelTable;

/// Elements one task sweeps.
constexpr std::size_t kSlice = std::size_t{1} << 16;

void for_slices(const Context& context, std::size_t n,
                const std::function<void(std::size_t, std::size_t)>& body) {
  context.parallel_for((n + kSlice - 1) / kSlice, [&](std::size_t slice, std::size_t) {
    const std::size_t first = slice * kSlice;
    body(first, std::min(kSlice, n - first));
  });
}

/// Value and gradient of one penalty term: reads theta, anchor, F, reads and writes the gradient.
void penalty(benchmark::State& state, std::size_t n, Isa isa, int threads) {
  const Context& context = shared_context(threads, isa);
  const std::vector<float> theta = random_values(n, 1), anchor = random_values(n, 2),
                           fisher = random_values(n, 3);
  AlignedBuffer<float> gradient(n);
  EwcPenalty ewc(PenaltyForm::Merged, 2.0);
  ewc.add_task(anchor, fisher);
  const double value = ewc.value_and_add_gradient(theta, gradient, context);
  double expected = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(theta[i]) - static_cast<double>(anchor[i]);
    expected += fisher[i] * d * d;
  }
  if (std::abs(value - expected) > 1e-5 * expected) return state.SkipWithError("wrong penalty");
  run_timed(state, context, {0, 0, 20.0 * static_cast<double>(n)}, [&] {
    benchmark::DoNotOptimize(ewc.value_and_add_gradient(theta, gradient, context));
    return -1.0;
  });
}

void adam_step(benchmark::State& state, std::size_t n, Isa isa, int threads) {
  const Context& context = shared_context(threads, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  const std::vector<float> gradient = random_values(n, 1);
  AlignedBuffer<float> theta(n), first(n), second(n);
  // Reads gradient, theta, both moments; writes theta and both moments.
  run_timed(state, context, {0, 0, 28.0 * static_cast<double>(n)}, [&] {
    for_slices(context, n, [&](std::size_t i, std::size_t count) {
      k.adam_step({theta.data() + i,
                   gradient.data() + i,
                   first.data() + i,
                   second.data() + i,
                   count,
                   1e-3f,
                   0.9f,
                   0.999f,
                   1e-8f,
                   1.f,
                   1.f,
                   {}});
    });
    return -1.0;
  });
}

void to_strips(benchmark::State& state, std::size_t rows, std::size_t cols, Isa isa, int threads) {
  const Context& context = shared_context(threads, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  const std::vector<float> source = random_values(rows * cols, 1);
  StripBuffer plain(rows, cols, k.lanes), squared(rows, cols, k.lanes);
  constexpr std::size_t kRows = 64;
  run_timed(state, context, {0, 0, 12.0 * static_cast<double>(rows * cols)}, [&] {
    context.parallel_for(rows / kRows, [&](std::size_t task, std::size_t) {
      k.to_strips(source.data() + task * kRows * cols, cols, plain.rows(task * kRows, kRows),
                  squared.rows(task * kRows, kRows));
    });
    return -1.0;
  });
}

void softmax(benchmark::State& state, std::size_t classes, Isa isa, int threads) {
  const Context& context = shared_context(threads, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  constexpr std::size_t kRows = 4096, kTaskRows = 256;
  const std::vector<float> z = random_values(kRows * classes, 1);
  std::vector<float> p(kRows * classes);
  k.softmax_rows(z.data(), classes, p.data(), classes, kRows, classes, nullptr);
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  if (std::abs(sum - kRows) > 1e-3 * kRows) return state.SkipWithError("probabilities do not add to one");
  run_timed(state, context, {static_cast<double>(kRows), 0, 0}, [&] {
    context.parallel_for(kRows / kTaskRows, [&](std::size_t task, std::size_t) {
      const std::size_t first = task * kTaskRows * classes;
      k.softmax_rows(z.data() + first, classes, p.data() + first, classes, kTaskRows, classes, nullptr);
    });
    return -1.0;
  });
}

}  // namespace

void add_kernel(const std::string& rest, const std::function<void(benchmark::State&)>& body) {
  benchmark::RegisterBenchmark(("kernel/" + rest).c_str(), body)->Unit(benchmark::kMicrosecond);
}

void register_sweep_benchmarks(const Settings& settings) {
  for (Isa isa : settings.isas)
    for (int t : settings.threads) {
      const std::string suffix = "/isa:" + std::string(isa_name(isa)) + "/threads:" + std::to_string(t);
      for (std::size_t n : {25'450u, 269'322u, 1'863'690u, 20'037'642u}) {
        const std::string shape = "/" + std::to_string(n);
        add_kernel("penalty" + shape + suffix, [=](benchmark::State& state) { penalty(state, n, isa, t); });
        add_kernel("adam_step" + shape + suffix,
                   [=](benchmark::State& state) { adam_step(state, n, isa, t); });
      }
      add_kernel("to_strips/512x784" + suffix,
                 [=](benchmark::State& state) { to_strips(state, 512, 784, isa, t); });
      for (std::size_t classes : {2u, 10u, 100u, 1000u})
        add_kernel("softmax/4096x" + std::to_string(classes) + suffix,
                   [=](benchmark::State& state) { softmax(state, classes, isa, t); });
    }
}

void register_kernel_benchmarks(const Settings& settings) {
  register_product_benchmarks(settings);
  register_gram_benchmarks(settings);
  register_skip_benchmarks(settings);
  register_grid_skip_benchmarks(settings);
  register_sweep_benchmarks(settings);
}

}  // namespace fisherdiag::bench
