#include "fisherdiag/kernels/window.hpp"

#include <cmath>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::relative_bound;
using fisherdiag::testing::StripMatrix;

namespace {

/// Samples in grids of random numbers, with one vector of NaN around, seen from places that overlap.
struct Grid {
  Grid(std::size_t samples, std::size_t positions, std::size_t patch, const KernelTable& k)
      : sample_floats(3 * positions + patch),
        lanes(k.lanes),
        floats(samples * sample_floats + 2 * lanes, std::numeric_limits<float>::quiet_NaN()) {
    RandomStream random(3, random_stream::kTest, 0);
    for (std::size_t i = 0; i < samples * sample_floats; ++i)
      floats[lanes + i] = static_cast<float>(2 * random.next_uniform() - 1);
    for (std::size_t t = 0; t < positions; ++t)
      bases.push_back(static_cast<std::int32_t>(random.next_below(3 * positions)));
  }
  GridRows rows() const { return {floats.data() + lanes, bases.data(), bases.size(), sample_floats}; }
  double at(std::size_t row, std::int32_t offset) const {
    const std::size_t n = row / bases.size(), t = row % bases.size();
    return static_cast<double>(
        floats[lanes + n * sample_floats + static_cast<std::size_t>(bases[t] + offset)]);
  }

  std::size_t sample_floats, lanes;
  std::vector<float> floats;
  std::vector<std::int32_t> bases;
};

}  // namespace

TEST_CASE("grid_gemm multiplies patches where they lie and writes no row past its last", "[kernels]") {
  const std::vector<GridRun> few{{0, 5}}, some{{2, 9}, {20, 1}, {40, 30}},
      deep{{0, 450}, {460, 450}, {20, 7}};
  struct Shape {
    std::size_t samples, positions, columns;
  };
  for (Isa isa : available_isas())
    for (const Shape s : {Shape{1, 1, 1}, Shape{2, 9, 20}, Shape{3, 8, 40}, Shape{5, 5, 65}})
      for (const std::vector<GridRun>& runs : {few, some, deep})
        for (const bool add : {false, true}) {
          const KernelTable& k = kernel_table(isa);
          CAPTURE(isa_name(isa), s.samples, s.positions, s.columns, runs.size(), add);
          const Grid grid(s.samples, s.positions, 920, k);
          std::size_t depth = 0;
          for (const GridRun& run : runs) depth += static_cast<std::size_t>(run.length);
          StripMatrix b(depth, s.columns, k), c(s.samples * s.positions + 1, s.columns, k);
          b.fill_random(1);
          c.fill_random(2);
          StripMatrix before(s.samples * s.positions + 1, s.columns, k);
          before.fill_random(2);
          std::vector<float> bias(s.columns + k.lanes);
          for (std::size_t j = 0; j < s.columns; ++j) bias[j] = 0.125f * static_cast<float>(j);
          k.grid_gemm({grid.rows(), runs.data(), runs.size(), b.view(), c.rows(0, s.samples * s.positions),
                       bias.data(), add});
          for (std::size_t r = 0; r < s.samples * s.positions; ++r)
            for (std::size_t j = 0; j < s.columns; ++j) {
              const double start = add ? static_cast<double>(before(r, j)) : 0.0;
              double expected = start + static_cast<double>(bias[j]);
              double size = std::abs(start) + std::abs(static_cast<double>(bias[j]));
              std::size_t row = 0;
              for (const GridRun& run : runs)
                for (std::int32_t i = 0; i < run.length; ++i) {
                  const double term = grid.at(r, run.offset + i) * static_cast<double>(b(row++, j));
                  expected += term;
                  size += std::abs(term);
                }
              // Two roundings for each term where multiply-adds are two instructions, and the bias.
              REQUIRE(std::abs(static_cast<double>(c(r, j)) - expected) <=
                      relative_bound(2 * depth + 2) * size);
            }
          for (std::size_t j = 0; j < s.columns; ++j)
            REQUIRE(c(s.samples * s.positions, j) == before(s.samples * s.positions, j));
        }
}

TEST_CASE("grid_gram_squared squares sums over patches' positions and touches nothing else", "[kernels]") {
  const std::vector<GridStrip> strips{{0, 3, 4}, {7, 7, 1}, {5, 9, 3}, {30, 12, 4}};
  constexpr std::size_t kStride = 18;
  constexpr double kBefore = 0.5;
  for (Isa isa : available_isas())
    for (const std::size_t positions : {1u, 5u, 16u, 49u, 200u})
      for (const std::size_t rows : {1u, 20u, 33u}) {
        const KernelTable& k = kernel_table(isa);
        CAPTURE(isa_name(isa), positions, rows);
        constexpr std::size_t kSamples = 3;
        const Grid grid(kSamples, positions, 40, k);
        StripMatrix left(kSamples * positions, rows, k);
        left.fill_random(1);
        std::vector<double> fisher(rows * kStride, kBefore);
        k.grid_gram_squared({left.view(), grid.rows(), strips.data(), strips.size(), fisher.data(), kStride});
        std::vector<double> expected(fisher.size(), kBefore), bound(fisher.size(), 0.0);
        for (std::size_t o = 0; o < rows; ++o)
          for (const GridStrip& strip : strips)
            for (std::int32_t i = 0; i < strip.count; ++i)
              for (std::size_t n = 0; n < kSamples; ++n) {
                double sum = 0, size = 0;
                for (std::size_t row = n * positions; row < (n + 1) * positions; ++row) {
                  const double term = static_cast<double>(left(row, o)) * grid.at(row, strip.offset + i);
                  sum += term;
                  size += std::abs(term);
                }
                const std::size_t at = o * kStride + static_cast<std::size_t>(strip.column + i);
                // As gram_squared: roundings of the sum count twice in its square.
                const double error = relative_bound(2 * positions) * size;
                expected[at] += sum * sum;
                bound[at] += error * (2 * std::abs(sum) + error) + relative_bound(kSamples + 3) * sum * sum;
              }
        for (std::size_t e = 0; e < fisher.size(); ++e)
          REQUIRE(std::abs(fisher[e] - expected[e]) <= bound[e] + 1e-15);
      }
}

TEST_CASE("grid_gram_squared's traces are the sums of each sample's squares, and change no sum",
          "[kernels]") {
  const std::vector<GridStrip> strips{{0, 3, 4}, {7, 7, 1}, {5, 9, 3}, {30, 12, 4}};
  constexpr std::size_t kStride = 18, kSamples = 3;
  constexpr double kBefore = 0.5;
  for (Isa isa : available_isas())
    for (const std::size_t positions : {1u, 5u, 16u, 49u, 200u})
      for (const std::size_t rows : {1u, 20u, 300u}) {  // more than are open at a time
        const KernelTable& k = kernel_table(isa);
        CAPTURE(isa_name(isa), positions, rows);
        const Grid grid(kSamples, positions, 40, k);
        StripMatrix left(kSamples * positions, rows, k);
        left.fill_random(1);
        std::vector<double> plain(rows * kStride), traced(rows * kStride), traces(kSamples, kBefore);
        GridGramArguments a{left.view(), grid.rows(), strips.data(), strips.size(), plain.data(), kStride};
        k.grid_gram_squared(a);
        a.fisher = traced.data();
        a.traces = traces.data();
        k.grid_gram_squared(a);
        REQUIRE(traced == plain);
        for (std::size_t n = 0; n < kSamples; ++n) {
          std::vector<double> own(rows * kStride);
          GridRows rows_of_n = grid.rows();
          rows_of_n.grid += n * grid.sample_floats;
          k.grid_gram_squared({left.rows(n * positions, positions), rows_of_n, strips.data(), strips.size(),
                               own.data(), kStride});
          double expected = 0;
          for (const double square : own) expected += square;
          // The same squares, each rounded once, in a chain of at most 256.
          REQUIRE(std::abs(traces[n] - kBefore - expected) <= relative_bound(258) * expected + 1e-15);
        }
      }
}
