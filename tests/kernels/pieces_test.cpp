#include "fisherdiag/kernels/pieces.hpp"

#include "kernels/margin_array.hpp"
#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::test::MarginArray;
using fisherdiag::testing::StripMatrix;

TEST_CASE("pad_grid puts positions into their places among zeros", "[kernels]") {
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    for (std::size_t channels : {1u, 3u, 16u, 20u, 37u}) {
      CAPTURE(isa_name(isa), channels);
      constexpr std::size_t kSamples = 3, kPositions = 4, kPlaces = 9;
      const std::size_t sample_floats = kPlaces * channels;
      const std::vector<std::size_t> places{1, 2, 4, 7};
      std::vector<std::int32_t> offsets;
      for (std::size_t place : places) offsets.push_back(static_cast<std::int32_t>(place * channels));
      StripMatrix narrow(kSamples * kPositions, channels, k);
      narrow.fill_random(1);
      MarginArray grid(kSamples * sample_floats, 5);
      for (std::size_t i = 0; i < kSamples * sample_floats; ++i) grid[i] = 7;
      k.pad_grid({offsets.data(), kPositions, sample_floats}, narrow.view(), grid.data());
      std::vector<float> expected(kSamples * sample_floats);
      for (std::size_t n = 0; n < kSamples; ++n)
        for (std::size_t t = 0; t < kPositions; ++t)
          for (std::size_t c = 0; c < channels; ++c)
            expected[n * sample_floats + places[t] * channels + c] = narrow(n * kPositions + t, c);
      for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(grid[i] == expected[i]);
      CHECK(grid.margins_untouched());
    }
  }
}

TEST_CASE("gather_pieces puts vectors together from any number of pieces", "[kernels]") {
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    const auto lanes = static_cast<std::int32_t>(k.lanes);
    constexpr std::size_t kSamples = 2, kPositions = 5, kSampleFloats = 600, kStrips = 3;
    std::vector<float> grid((kSamples + 1) * kSampleFloats + 3 * k.lanes);
    RandomStream random(4, random_stream::kTest, 0);
    for (float& x : grid) x = static_cast<float>(random.next_uniform());
    const std::vector<std::int32_t> bases{0, 17, 40, 41, 300};
    for (std::int32_t most = 1; most <= lanes; ++most) {
      CAPTURE(isa_name(isa), most);
      std::vector<PatchPiece> pieces;
      std::vector<std::int32_t> begin{0};
      for (std::size_t s = 0; s < kStrips; ++s) {
        for (std::int32_t p = 0; p < most; ++p)
          pieces.push_back({p, static_cast<std::int32_t>(random.next_below(200)) - p});
        begin.push_back(static_cast<std::int32_t>(pieces.size()));
      }
      const float* start = grid.data() + k.lanes;
      const PiecewisePatches patches{bases.data(), kPositions, kSampleFloats, pieces.data(), begin.data()};
      for (const std::size_t first_row : {0u, 3u, 7u})
        for (const std::size_t first_strip : {0u, 1u}) {
          StripMatrix wide(kSamples * kPositions - first_row, (kStrips - first_strip) * k.lanes, k);
          k.gather_pieces(patches, start, first_row, first_strip, wide.view());
          for (std::size_t r = 0; r < wide.rows_; ++r)
            for (std::size_t j = 0; j < wide.cols_; ++j) {
              const std::size_t n = (first_row + r) / kPositions, t = (first_row + r) % kPositions;
              const std::size_t s = first_strip + j / k.lanes, lane = j % k.lanes;
              const PatchPiece& piece = pieces[static_cast<std::size_t>(begin[s]) +
                                               std::min(lane, static_cast<std::size_t>(most - 1))];
              const std::ptrdiff_t at =
                  static_cast<std::ptrdiff_t>(n * kSampleFloats + lane) + bases[t] + piece.offset;
              REQUIRE(wide(r, j) == start[at]);
            }
        }
    }
  }
}
