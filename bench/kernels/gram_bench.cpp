// kernel/gram_squared/T<positions>x<I>x<O>/isa:<isa>/threads:<t>
//
// Squares of per-sample gradients of a weight that is used at T positions. Operands are in strips already, as
// the pass keeps them; `flops` counts 2 N (T + 1) O I: the sums over positions, and the squares.
#include <algorithm>
#include <cmath>

#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"
#include "kernels/kernel_benches.hpp"
#include "kernels/strip_inputs.hpp"
#include "support/counters.hpp"
#include "support/inputs.hpp"

namespace fisherdiag::bench {

namespace {

using kernels::KernelTable;

/// A 3 x 3 convolution of 64 to 96 channels, and the least shape the kernel is meant for.
constexpr std::size_t kShapes[][2] = {{576, 96}, {288, 48}};  // I, O
/// Rows (samples x positions) of an operand: they stay in the second-level cache.
constexpr std::size_t kRows = 1024;

void gram_squared(benchmark::State& state, std::size_t positions, std::size_t inputs, std::size_t outputs,
                  Isa isa, int threads) {
  const Context& context = shared_context(threads, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  const std::size_t samples = kRows / positions, rows = samples * positions;
  const StripBuffer left = random_strips(k, rows, outputs, 1), right = random_strips(k, rows, inputs, 2);
  AlignedBuffer<double> fisher(outputs * inputs);
  const std::size_t strips = (inputs + k.lanes - 1) / k.lanes;
  const std::size_t parts = threads == 1 ? 1 : 2 * static_cast<std::size_t>(threads);
  const auto accumulate = [&] {
    context.parallel_for(parts, [&](std::size_t part, std::size_t) {
      k.gram_squared({left.view(),
                      right.view(),
                      positions,
                      nullptr,
                      {0, outputs, strips * part / parts, strips * (part + 1) / parts},
                      fisher.data(),
                      inputs});
    });
    return -1.0;
  };
  accumulate();
  double expected = 0;
  for (std::size_t n = 0; n < samples; ++n) {
    double sum = 0;
    for (std::size_t r = n * positions; r < (n + 1) * positions; ++r)
      sum += element(left, k.lanes, r, outputs - 1) * element(right, k.lanes, r, inputs - 1);
    expected += sum * sum;
  }
  if (std::abs(fisher[outputs * inputs - 1] - expected) > 1e-4 * (1e-30 + expected))
    return state.SkipWithError("wrong sum of squares");
  const double flops = 2.0 * static_cast<double>(samples) * static_cast<double>(positions + 1) *
                       static_cast<double>(inputs * outputs);
  run_timed(state, context, {0, flops, 0}, accumulate);
}

}  // namespace

void register_gram_benchmarks(const Settings& settings) {
  for (Isa isa : settings.isas)
    for (int t : settings.threads)
      for (const auto& [inputs, outputs] : kShapes)
        for (std::size_t positions : {1u, 4u, 16u, 49u, 196u, 1024u})
          add_kernel("gram_squared/T" + std::to_string(positions) + "x" + std::to_string(inputs) + "x" +
                         std::to_string(outputs) + "/isa:" + std::string(isa_name(isa)) +
                         "/threads:" + std::to_string(t),
                     [=, i = inputs, o = outputs](benchmark::State& state) {
                       gram_squared(state, positions, i, o, isa, t);
                     });
}

}  // namespace fisherdiag::bench
