#include "fisherdiag/fisher/fisher_tiles.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "support/catch.hpp"

using fisherdiag::cut_fisher;
using fisherdiag::FisherTile;
using fisherdiag::LinearLayer;

namespace {

using Layers = std::vector<LinearLayer>;

/// [inputs, hidden ..., outputs] without nonlinearities.
Layers dense(const std::vector<std::size_t>& widths) {
  Layers layers;
  for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
    LinearLayer layer;
    layer.inputs = widths[l];
    layer.outputs = widths[l + 1];
    layers.push_back(layer);
  }
  return layers;
}

fisherdiag::TileRules rules(std::size_t strip) {
  return {16, strip, 64, 1152, 40, 4};
}

}  // namespace

TEST_CASE("tiles of F cover every weight once and begin where kernels can") {
  for (const Layers& layers :
       {dense({784, 256, 256, 10}), dense({784, 400, 400, 10}), dense({3000, 70, 17, 1}), dense({1, 1})})
    for (std::size_t lanes : {4u, 8u, 16u})
      for (std::size_t threads : {1u, 2u, 3u, 7u, 64u}) {
        CAPTURE(layers[0].inputs, lanes, threads);
        std::vector<std::vector<int>> covered;
        for (const LinearLayer& layer : layers)
          covered.emplace_back(layer.outputs * ((layer.inputs + lanes - 1) / lanes));
        for (const FisherTile& tile : cut_fisher(layers, rules(lanes), threads)) {
          REQUIRE(tile.range.row_begin % 16 == 0);
          REQUIRE(tile.range.row_end <= layers[tile.layer].outputs);
          REQUIRE(tile.range.row_end - tile.range.row_begin <= 64);
          const std::size_t strips = (layers[tile.layer].inputs + lanes - 1) / lanes;
          REQUIRE(tile.range.strip_end <= strips);
          for (std::size_t row = tile.range.row_begin; row < tile.range.row_end; ++row)
            for (std::size_t s = tile.range.strip_begin; s < tile.range.strip_end; ++s)
              ++covered[tile.layer][row * strips + s];
        }
        for (const std::vector<int>& layer : covered)
          CHECK(std::all_of(layer.begin(), layer.end(), [](int times) { return times == 1; }));
      }
}

// Context::parallel_for deals equal numbers, the first threads one more.
TEST_CASE("threads own equal parts of F") {
  for (const std::size_t threads : {2u, 3u, 4u}) {
    for (const Layers& layers : {dense({784, 256, 256, 10}), dense({784, 400, 400, 10})}) {
      const std::vector<FisherTile> tiles = cut_fisher(layers, rules(16), threads);
      double all = 0, most = 0;
      std::size_t next = 0;
      for (std::size_t t = 0; t < threads; ++t) {
        const std::size_t share = tiles.size() / threads + (t < tiles.size() % threads ? 1 : 0);
        double own = 0;
        for (const std::size_t end = next + share; next < end; ++next) {
          const auto& range = tiles[next].range;
          own +=
              static_cast<double>((range.row_end - range.row_begin) * (range.strip_end - range.strip_begin));
        }
        all += own;
        most = std::max(most, own);
      }
      CHECK(next == tiles.size());
      CHECK(most < 1.1 * all / static_cast<double>(threads));
    }
  }
}
