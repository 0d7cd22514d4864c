// kernel/gemm, kernel/squared_outer: /<N x I x O>/isa:<isa>/threads:<t>
#include <algorithm>
#include <cmath>
#include <functional>

#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"
#include "kernels/kernel_benches.hpp"
#include "kernels/strip_inputs.hpp"
#include "support/counters.hpp"
#include "support/inputs.hpp"

#ifdef FISHERDIAG_HAVE_OPENBLAS
extern "C" {
void openblas_set_num_threads(int);
void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float* a,
                 int lda, const float* b, int ldb, float beta, float* c, int ldc);
}
#endif

namespace fisherdiag::bench {

namespace {

using kernels::KernelTable;
using kernels::OuterRange;

/// N samples (rows), I inputs, O outputs.
struct Shape {
  std::size_t n, i, o;
  std::string name() const { return std::to_string(n) + "x" + std::to_string(i) + "x" + std::to_string(o); }
  double flops() const {
    return 2.0 * static_cast<double>(n) * static_cast<double>(i) * static_cast<double>(o);
  }
};

/// The large cube and the products the benchmark models are made of, small and thin ones included.
const std::vector<Shape> kShapes{{1024, 1024, 1024}, {512, 784, 32},    {512, 784, 256}, {512, 256, 256},
                                 {512, 1024, 10},    {512, 4096, 4096}, {64, 256, 256}};

bool close(double value, double expected) {
  return std::abs(value - expected) <= 1e-4 * (1e-30 + std::abs(expected));
}

/// Cuts rows x strips into tasks: enough for every thread, each large enough to reuse what it loads.
struct Cuts {
  std::size_t row_step, strip_step, row_tasks, strip_tasks;
  Cuts(std::size_t rows, std::size_t strips, std::size_t row_most, std::size_t strip_most)
      : row_step(std::min(rows, row_most)),
        strip_step(std::min(strips, strip_most)),
        row_tasks((rows + row_step - 1) / row_step),
        strip_tasks((strips + strip_step - 1) / strip_step) {}
};

void gemm(benchmark::State& state, Shape s, Isa isa, int threads) {
  const Context& context = shared_context(threads, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  StripBuffer a = random_strips(k, s.n, s.i, 1), b = random_strips(k, s.i, s.o, 2), c(s.n, s.o, k.lanes);
  const std::size_t rows_per_task =
      std::min<std::size_t>(128, (s.n / static_cast<std::size_t>(threads) + 7) / 8 * 8);
  const std::size_t tasks = (s.n + rows_per_task - 1) / rows_per_task;
  const auto product = [&] {
    context.parallel_for(tasks, [&](std::size_t task, std::size_t) {
      const std::size_t first = task * rows_per_task, count = std::min(rows_per_task, s.n - first);
      kernels::GemmArguments g;
      g.a = a.rows(first, count);
      g.b = b.view();
      g.c = c.rows(first, count);
      k.gemm(g);
    });
    return -1.0;
  };
  product();
  double expected = 0;
  for (std::size_t i = 0; i < s.i; ++i)
    expected += element(a, k.lanes, s.n - 1, i) * element(b, k.lanes, i, s.o - 1);
  if (!close(element(c, k.lanes, s.n - 1, s.o - 1), expected)) return state.SkipWithError("wrong product");
  run_timed(state, context, {0, s.flops(), 0}, product);
}

using OuterKernel = std::function<void(const kernels::ConstStrips&, const kernels::ConstStrips&,
                                       const OuterRange&, double*, std::size_t)>;

void outer(benchmark::State& state, Shape s, Isa isa, int threads, std::size_t chain,
           const OuterKernel& kernel, const std::function<double(double)>& finish) {
  const Context& context = shared_context(threads, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  StripBuffer left = random_strips(k, s.n, s.o, 1), right = random_strips(k, s.n, s.i, 2);
  AlignedBuffer<double> fisher(s.o * s.i);
  const std::size_t strips = (s.i + k.lanes - 1) / k.lanes;
  const Cuts cuts(s.o, strips, threads == 1 ? 256 : 128, 192 / k.lanes);
  const auto accumulate = [&] {
    context.parallel_for(cuts.row_tasks * cuts.strip_tasks, [&](std::size_t task, std::size_t) {
      const std::size_t row = task / cuts.strip_tasks * cuts.row_step,
                        strip = task % cuts.strip_tasks * cuts.strip_step;
      const OuterRange range{row, std::min(row + cuts.row_step, s.o), strip,
                             std::min(strip + cuts.strip_step, strips)};
      for (std::size_t first = 0; first < s.n; first += chain) {
        const std::size_t count = std::min(chain, s.n - first);
        kernel(left.rows(first, count), right.rows(first, count), range, fisher.data(), s.i);
      }
    });
    return -1.0;
  };
  accumulate();
  double expected = 0;
  for (std::size_t first = 0; first < s.n; first += chain) {
    double sum = 0;
    for (std::size_t n = first; n < std::min(first + chain, s.n); ++n)
      sum += element(left, k.lanes, n, s.o - 1) * element(right, k.lanes, n, s.i - 1);
    expected += finish(sum);
  }
  if (!close(fisher[s.o * s.i - 1], expected)) return state.SkipWithError("wrong sum");
  run_timed(state, context, {0, s.flops(), 0}, accumulate);
}

#ifdef FISHERDIAG_HAVE_OPENBLAS
/// y = x W^T, the product a linear layer asks of a BLAS.
void openblas(benchmark::State& state, Shape s, Isa isa, int threads) {
  constexpr int kRowMajor = 101, kNoTranspose = 111, kTranspose = 112;
  const std::vector<float> a = random_values(s.n * s.i, 1), b = random_values(s.o * s.i, 2);
  std::vector<float> c(s.n * s.o);
  openblas_set_num_threads(threads);
  run_timed(state, shared_context(threads, isa), {0, s.flops(), 0}, [&] {
    const int n = static_cast<int>(s.n), i = static_cast<int>(s.i), o = static_cast<int>(s.o);
    cblas_sgemm(kRowMajor, kNoTranspose, kTranspose, n, o, i, 1.f, a.data(), i, b.data(), i, 0.f, c.data(),
                o);
    return -1.0;
  });
}
#endif

}  // namespace

void register_product_benchmarks(const Settings& settings) {
  for (Isa isa : settings.isas) {
    const KernelTable& k = kernels::kernel_table(isa);
    for (int t : settings.threads)
      for (Shape s : kShapes) {
        const std::string suffix =
            "/" + s.name() + "/isa:" + std::string(isa_name(isa)) + "/threads:" + std::to_string(t);
        add_kernel("gemm" + suffix, [=](benchmark::State& state) { gemm(state, s, isa, t); });
        add_kernel("squared_outer" + suffix, [=, &k](benchmark::State& state) {
          outer(state, s, isa, t, kernels::kChain, k.squared_outer, [](double sum) { return sum; });
        });
        add_kernel("gram_squared" + suffix, [=, &k](benchmark::State& state) {
          const auto square = [&k](auto&& l, auto&& r, auto&& range, double* f, std::size_t stride) {
            k.gram_squared({l, r, l.rows, nullptr, range, f, stride});
          };
          outer(state, s, isa, t, 128, square, [](double sum) { return sum * sum; });
        });
#ifdef FISHERDIAG_HAVE_OPENBLAS
        if (isa == settings.isa)
          add_kernel("gemm-openblas" + suffix, [=](benchmark::State& state) { openblas(state, s, isa, t); });
#endif
      }
  }
}

}  // namespace fisherdiag::bench
