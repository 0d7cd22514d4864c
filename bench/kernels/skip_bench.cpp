// kernel/squared_outer-skip, kernel/gemm-skip: /<N x I x O>/density:<share>/isa:<isa>/threads:1
//
// The share of the left operand's elements that are not zero decides what leaving the rest out gains. `flops`
// counts what the dense product would do, so `peak_fraction` compares with kernel/squared_outer and
// kernel/gemm of the same shape and may exceed 1.
#include <algorithm>

#include "fisherdiag/kernels/skip.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/skip_buffer.hpp"
#include "kernels/kernel_benches.hpp"
#include "kernels/strip_inputs.hpp"
#include "support/counters.hpp"

namespace fisherdiag::bench {

namespace {

using kernels::KernelTable;

struct Case {
  std::size_t n, i, o;
  double density;
  std::string name() const {
    return std::to_string(n) + "x" + std::to_string(i) + "x" + std::to_string(o) + density_name(density);
  }
  double flops() const {
    return 2.0 * static_cast<double>(n) * static_cast<double>(i) * static_cast<double>(o);
  }
};

/// Lists as long as any layer needs.
SkipBuffer skip_buffer(const Case& c, std::size_t lanes) {
  return {Architecture::parse("mlp:" + std::to_string(c.i) + "-" + std::to_string(c.o)), lanes};
}

void squared_outer(benchmark::State& state, const Case& c, Isa isa) {
  const Context& context = shared_context(1, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  const StripBuffer left = sparse_strips(k, c.n, c.o, c.density, 1), right = sparse_strips(k, c.n, c.i, 1, 2);
  AlignedBuffer<double> fisher(c.o * c.i), expected(c.o * c.i);
  SkipBuffer skip = skip_buffer(c, k.lanes);
  const kernels::OuterRange all{0, c.o, 0, (c.i + k.lanes - 1) / k.lanes};
  k.squared_outer(left.view(), right.view(), all, expected.data(), c.i);
  k.squared_outer_skip(left.view(), right.view(), all, fisher.data(), c.i, skip.scratch());
  if (!std::ranges::equal(fisher, expected)) return state.SkipWithError("not the bits of the dense product");
  run_timed(state, context, {0, c.flops(), 0}, [&] {
    k.squared_outer_skip(left.view(), right.view(), all, fisher.data(), c.i, skip.scratch());
    return -1.0;
  });
}

void gemm(benchmark::State& state, const Case& c, Isa isa) {
  const Context& context = shared_context(1, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  const StripBuffer a = sparse_strips(k, c.n, c.i, c.density, 1), b = sparse_strips(k, c.i, c.o, 1, 2);
  StripBuffer product(c.n, c.o, k.lanes), expected(c.n, c.o, k.lanes);
  SkipBuffer skip = skip_buffer(c, k.lanes);
  kernels::GemmArguments g;
  g.a = a.view();
  g.b = b.view();
  g.c = expected.view();
  k.gemm(g);
  g.c = product.view();
  k.gemm_skip(g, skip.scratch());
  const std::size_t last = (c.n - 1) * k.lanes + (c.o - 1) / k.lanes * product.view().stride;
  if (product.view().data[last] != expected.view().data[last])
    return state.SkipWithError("not the bits of the dense product");
  run_timed(state, context, {0, c.flops(), 0}, [&] {
    k.gemm_skip(g, skip.scratch());
    return -1.0;
  });
}

}  // namespace

void register_skip_benchmarks(const Settings& settings) {
  for (Isa isa : settings.isas)
    for (double density : {0.05, 0.15, 0.3, 0.4, 0.5, 0.6, 0.9})
      for (auto [i, o] : {std::pair<std::size_t, std::size_t>{784, 256}, {256, 256}, {1024, 1024}}) {
        const Case c{512, i, o, density};
        const std::string suffix = "/" + c.name() + "/isa:" + std::string(isa_name(isa)) + "/threads:1";
        add_kernel("squared_outer-skip" + suffix,
                   [=](benchmark::State& state) { squared_outer(state, c, isa); });
        add_kernel("gemm-skip" + suffix, [=](benchmark::State& state) { gemm(state, c, isa); });
      }
}

}  // namespace fisherdiag::bench
