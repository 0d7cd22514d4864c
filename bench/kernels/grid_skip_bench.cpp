// kernel/grid_gram_squared, kernel/grid_gemm and the same with -skip:
// /<side>x<side>x<I>x<O>/density:<share>/isa:<isa>/threads:1
//
// A 3 x 3 convolution of I to O channels over a square: the squares of its gradients, and the product that
// sends sensitivities back. `density`: the share of sensitivities that are not zero. `flops` counts what the
// dense kernels do.
#include <algorithm>
#include <array>
#include <vector>

#include "fisherdiag/kernels/skip.hpp"
#include "fisherdiag/nn/padded_patches.hpp"
#include "kernels/kernel_benches.hpp"
#include "kernels/strip_inputs.hpp"
#include "support/counters.hpp"

namespace fisherdiag::bench {

namespace {

using kernels::KernelTable;

constexpr std::size_t kTaps = 9;

struct Case {
  std::size_t side, inputs, outputs;
  double density;
  std::size_t positions() const { return side * side; }
  /// Samples that a layer takes at a time.
  std::size_t samples() const { return std::clamp<std::size_t>(1024 / positions(), 1, 16); }
  double products() const {
    return 2.0 * static_cast<double>(samples() * positions() * inputs * outputs * kTaps);
  }
  std::string name() const {
    const std::string size = std::to_string(side);
    return size + "x" + size + "x" + std::to_string(inputs) + "x" + std::to_string(outputs) +
           density_name(density);
  }
};

struct Operands {
  Operands(const Case& c, const KernelTable& k)
      : rows(c.samples() * c.positions()),
        deltas(sparse_strips(k, rows, c.outputs, c.density, 1)),
        window{{3, 3}, {1, 1}, {1, 1}, {1, 1}} {}

  PaddedPatches patches(const Case& c, std::size_t channels, std::size_t lanes) const {
    return {window, {c.side, c.side}, {{c.side, c.side}, channels}, 1, lanes};
  }
  OpScratch grid_room(const Case& c, std::size_t channels, std::size_t lanes) const {
    return {PaddedPatches::floats(window, {{c.side, c.side}, channels}, c.samples(), lanes), lanes};
  }

  std::size_t rows;
  StripBuffer deltas;
  Window window;
};

void gram(benchmark::State& state, const Case& c, Isa isa, bool skip) {
  const Context& context = shared_context(1, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  const Operands o(c, k);
  const StripBuffer inputs = sparse_strips(k, o.rows, c.inputs, 1, 2);
  const PaddedPatches patches = o.patches(c, c.inputs, k.lanes);
  OpScratch room = o.grid_room(c, c.inputs, k.lanes);
  const float* grid = patches.pad(k, inputs.view(), room);
  const std::size_t columns = kTaps * c.inputs;
  const std::vector<kernels::GridStrip> strips = patches.strips(0, columns);
  AlignedBuffer<kernels::NonZero> entries(kernels::grid_gram_entries(c.positions(), k.lanes));
  AlignedBuffer<float> sums(kernels::grid_gram_sums(strips.size(), k.lanes));
  const kernels::GridSkipScratch scratch{skip ? entries.data() : nullptr, nullptr, sums.data()};
  AlignedBuffer<double> fisher(c.outputs * columns), expected(c.outputs * columns);
  const auto run = [&](double* target, const kernels::GridSkipScratch& lists) {
    k.grid_gram_squared_skip(
        {o.deltas.view(), patches.rows(grid), strips.data(), strips.size(), target, columns}, lists);
  };
  run(expected.data(), {});
  run(fisher.data(), scratch);
  if (!std::ranges::equal(fisher, expected)) return state.SkipWithError("not the bits of the dense product");
  const double squares = 2.0 * static_cast<double>(c.samples() * c.outputs * columns);
  run_timed(state, context, {0, c.products() + squares, 0}, [&] {
    run(fisher.data(), scratch);
    return -1.0;
  });
}

void product(benchmark::State& state, const Case& c, Isa isa, bool skip) {
  const Context& context = shared_context(1, isa);
  const KernelTable& k = kernels::kernel_table(isa);
  const Operands o(c, k);
  const PaddedPatches patches = o.patches(c, c.outputs, k.lanes);
  OpScratch room = o.grid_room(c, c.outputs, k.lanes);
  const float* grid = patches.pad(k, o.deltas.view(), room);
  const StripBuffer weights = sparse_strips(k, kTaps * c.outputs, c.inputs, 1, 3);
  StripBuffer below(o.rows, c.inputs, k.lanes), expected(o.rows, c.inputs, k.lanes);
  AlignedBuffer<kernels::NonZero> entries(kernels::grid_gemm_entries(patches.sample_floats(), k.lanes));
  AlignedBuffer<std::uint32_t> starts(patches.sample_floats() / c.outputs + 1);
  const kernels::GridSkipScratch scratch{skip ? entries.data() : nullptr, starts.data(), nullptr};
  const auto run = [&](const kernels::Strips& to, const kernels::GridSkipScratch& lists) {
    k.grid_gemm_skip({patches.rows(grid), patches.runs().data(), patches.runs().size(), weights.view(), to,
                      nullptr, false},
                     o.deltas.view(), c.outputs, lists);
  };
  run(expected.view(), {});
  run(below.view(), scratch);
  for (std::size_t r = 0; r < o.rows; ++r)
    if (element(below, k.lanes, r, c.inputs - 1) != element(expected, k.lanes, r, c.inputs - 1))
      return state.SkipWithError("not the bits of the dense product");
  run_timed(state, context, {0, c.products(), 0}, [&] {
    run(below.view(), scratch);
    return -1.0;
  });
}

}  // namespace

void register_grid_skip_benchmarks(const Settings& settings) {
  for (Isa isa : settings.isas)
    for (const auto& [side, inputs, outputs] :
         {std::array<std::size_t, 3>{16, 32, 64}, {8, 64, 128}, {32, 20, 20}, {4, 160, 160}, {2, 256, 256}})
      for (double density : {0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9})
        for (bool skip : {false, true}) {
          const Case c{side, inputs, outputs, density};
          const std::string suffix =
              (skip ? "-skip/" : "/") + c.name() + "/isa:" + std::string(isa_name(isa)) + "/threads:1";
          add_kernel("grid_gram_squared" + suffix,
                     [=](benchmark::State& state) { gram(state, c, isa, skip); });
          add_kernel("grid_gemm" + suffix, [=](benchmark::State& state) { product(state, c, isa, skip); });
        }
}

}  // namespace fisherdiag::bench
