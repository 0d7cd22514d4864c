#include <cstring>
#include <limits>

#include "fisherdiag/kernels/skip.hpp"
#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::StripMatrix;

namespace {

/// Random values of which `share` are not zero; some of the zeros are negative.
float sparse_value(RandomStream& random, double share) {
  const auto value = static_cast<float>(2 * random.next_uniform() - 1);
  return random.next_uniform() < share ? value : (value < 0 ? -0.f : 0.f);
}

void fill_sparse(StripMatrix& m, double share, std::uint64_t seed) {
  RandomStream random(seed, random_stream::kTest, 0);
  for (std::size_t r = 0; r < m.rows_; ++r)
    for (std::size_t c = 0; c < m.cols_; ++c) m(r, c) = sparse_value(random, share);
}

/// Samples of `places` places, `features` numbers each, seen from random places.
struct Grid {
  Grid(std::size_t samples, std::size_t places, std::size_t features, std::size_t positions,
       std::size_t reach, double share, std::size_t lanes)
      : sample_floats(places * features), floats(samples * sample_floats + 2 * lanes) {
    RandomStream random(5, random_stream::kTest, 0);
    for (std::size_t i = 0; i < samples * sample_floats; ++i) floats[i] = sparse_value(random, share);
    for (std::size_t t = 0; t < positions; ++t)
      bases.push_back(static_cast<std::int32_t>(random.next_below(places - reach + 1) * features));
  }
  GridRows rows() const { return {floats.data(), bases.data(), bases.size(), sample_floats}; }

  std::size_t sample_floats;
  std::vector<float> floats;
  std::vector<std::int32_t> bases;
};

/// Filled with what nobody may read, and more of it behind that nobody may write.
struct Scratch {
  static constexpr std::size_t kBehind = 16;
  Scratch(std::size_t entry_count, std::size_t start_count, std::size_t sum_count)
      : entries(entry_count + kBehind), starts(start_count + kBehind), sums(sum_count + kBehind) {
    for (NonZero& entry : entries) entry = {std::nanf(""), ~0u};
    for (std::uint32_t& start : starts) start = ~0u;
    for (float& sum : sums) sum = std::nanf("");
  }
  bool is_untouched_behind() const {
    for (std::size_t i = 1; i <= kBehind; ++i)
      if (entries[entries.size() - i].offset != ~0u || starts[starts.size() - i] != ~0u ||
          !std::isnan(sums[sums.size() - i]))
        return false;
    return true;
  }
  GridSkipScratch view() { return {entries.data(), starts.data(), sums.data()}; }
  std::vector<NonZero> entries;
  std::vector<std::uint32_t> starts;
  AlignedBuffer<float> sums;
};

std::vector<GridStrip> strips_of(const std::vector<GridRun>& runs, std::size_t lanes) {
  std::vector<GridStrip> strips;
  std::int32_t column = 2;
  for (const GridRun& run : runs)
    for (std::int32_t i = 0; i < run.length; i += static_cast<std::int32_t>(lanes)) {
      const std::int32_t count = std::min(static_cast<std::int32_t>(lanes), run.length - i);
      strips.push_back({run.offset + i, column, count});
      column += count;
    }
  return strips;
}

/// A 3 x 3 and a 5 x 5 kernel, runs that differ, and one that is longer than fits registers.
const std::vector<std::vector<GridRun>> kRuns{{{0, 36}, {84, 36}, {168, 36}},
                                              {{0, 20}, {48, 20}, {96, 20}, {144, 20}, {192, 20}},
                                              {{0, 40}, {60, 12}, {90, 70}, {180, 70}},
                                              {{0, 400}}};

/// Everything multiplied, many zeros, nothing but zeros.
const std::vector<double> kShares{1.0, 0.5, 0.2, 0.05, 0.0};

}  // namespace

TEST_CASE("grid_gram_squared_skip has the bits of grid_gram_squared", "[kernels]") {
  constexpr std::size_t kSamples = 3, kStride = 410;
  for (Isa isa : available_isas())
    for (const std::size_t positions : {1u, 16u, 49u, 203u})
      for (const std::size_t rows : {1u, 20u, 33u})
        for (const std::vector<GridRun>& runs : kRuns)
          for (const double share : kShares) {
            const KernelTable& k = kernel_table(isa);
            CAPTURE(isa_name(isa), positions, rows, runs.size(), share);
            const Grid grid(kSamples, 60, 12, positions, 40, 1, k.lanes);
            StripMatrix left(kSamples * positions, rows, k);
            fill_sparse(left, share, 1);
            const std::vector<GridStrip> strips = strips_of(runs, k.lanes);
            std::vector<double> dense(rows * kStride, 0.5), skipping(rows * kStride, 0.5);
            Scratch scratch(grid_gram_entries(positions, k.lanes), 0, grid_gram_sums(strips.size(), k.lanes));
            GridGramArguments a{left.view(),   grid.rows(),  strips.data(),
                                strips.size(), dense.data(), kStride};
            k.grid_gram_squared(a);
            a.fisher = skipping.data();
            k.grid_gram_squared_skip(a, scratch.view());
            REQUIRE(skipping == dense);
            REQUIRE(scratch.is_untouched_behind());
          }
}

TEST_CASE("grid_gemm_skip has the bits of grid_gemm", "[kernels]") {
  constexpr std::size_t kSamples = 3, kPlaces = 60;
  struct Run {
    std::int32_t place, places;
  };
  const std::vector<std::vector<Run>> windows{{{0, 3}, {7, 3}, {14, 3}}, {{0, 1}}, {{2, 9}, {20, 1}}};
  for (Isa isa : available_isas())
    for (const std::size_t features : {5u, 16u, 33u, 200u})
      for (const std::size_t columns : {1u, 20u, 64u, 150u})
        for (const std::vector<Run>& window : windows)
          for (const double share : kShares)
            for (const bool add : {false, true}) {
              const KernelTable& k = kernel_table(isa);
              CAPTURE(isa_name(isa), features, columns, window.size(), share, add);
              constexpr std::size_t kPositions = 7;
              const Grid grid(kSamples, kPlaces, features, kPositions, 21, share, k.lanes);
              std::vector<GridRun> runs;
              std::size_t depth = 0;
              for (const Run& run : window) {
                runs.push_back({run.place * static_cast<std::int32_t>(features),
                                run.places * static_cast<std::int32_t>(features)});
                depth += static_cast<std::size_t>(runs.back().length);
              }
              StripMatrix from(kSamples * kPositions, features, k), b(depth, columns, k);
              fill_sparse(from, share, 1);
              b.fill_random(2);
              StripMatrix dense(kSamples * kPositions, columns, k);
              dense.fill_random(3);
              StripMatrix skipping = dense.copy();
              std::vector<float> bias(columns + k.lanes, 0.125f);
              Scratch scratch(grid_gemm_entries(grid.sample_floats, k.lanes), kPlaces + 1, 0);
              GridGemmArguments g{grid.rows(),  runs.data(), runs.size(), b.view(),
                                  dense.view(), bias.data(), add};
              k.grid_gemm(g);
              g.c = skipping.view();
              k.grid_gemm_skip(g, from.view(), features, scratch.view());
              REQUIRE(scratch.is_untouched_behind());
              for (std::size_t r = 0; r < dense.rows_; ++r)
                for (std::size_t j = 0; j < columns; ++j) REQUIRE(skipping(r, j) == dense(r, j));
            }
}

TEST_CASE("sparse sensitivities of a convolution are left out, dense ones multiplied", "[kernels]") {
  // A zero meets an infinity: the dense kernel has a NaN, the other does not notice.
  constexpr std::size_t kPositions = 64;
  for (Isa isa : available_isas())
    for (const bool sparse : {true, false}) {
      const KernelTable& k = kernel_table(isa);
      CAPTURE(isa_name(isa), sparse);
      const std::size_t features = 2 * k.lanes;
      Grid grid(1, 12, features, kPositions, 3, sparse ? 0.05 : 1, k.lanes);
      StripMatrix left(kPositions, 2 * k.lanes, k);
      fill_sparse(left, sparse ? 0.05 : 1, 1);
      for (std::size_t t = 0; t < kPositions; ++t) left(t, 0) = 0;

      Grid inputs(1, 12, features, kPositions, 3, 1, k.lanes);
      inputs.floats[static_cast<std::size_t>(inputs.bases[9])] = std::numeric_limits<float>::infinity();
      const auto length = static_cast<std::int32_t>(3 * features);
      const std::vector<GridStrip> strips = strips_of({{0, length}}, k.lanes);
      std::vector<double> fisher(2 * k.lanes * (3 * features + 2));
      Scratch columns(grid_gram_entries(kPositions, k.lanes), 0, grid_gram_sums(strips.size(), k.lanes));
      k.grid_gram_squared_skip(
          {left.view(), inputs.rows(), strips.data(), strips.size(), fisher.data(), 3 * features + 2},
          columns.view());
      REQUIRE(std::isnan(fisher[2]) == !sparse);

      grid.floats[static_cast<std::size_t>(grid.bases[0])] = 0;
      StripMatrix b(3 * features, 4 * k.lanes, k), c(kPositions, 4 * k.lanes, k);
      b.fill_random(2);
      b(0, 0) = std::numeric_limits<float>::infinity();
      Scratch lists(grid_gemm_entries(grid.sample_floats, k.lanes), 13, 0);
      const GridRun run{0, length};
      k.grid_gemm_skip({grid.rows(), &run, 1, b.view(), c.view(), nullptr, false}, left.view(), features,
                       lists.view());
      REQUIRE(std::isnan(c(0, 0)) == !sparse);
    }
}
