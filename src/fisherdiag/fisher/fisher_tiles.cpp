#include "fisherdiag/fisher/fisher_tiles.hpp"

#include <algorithm>

namespace fisherdiag {

namespace {

/// Of one layer, unless the largest tiles are more: enough to make shares even.
constexpr std::size_t kMostTilesPerThread = 8;
/// Someone who is late leaves others to wait for at most a tile; how much of one is counted.
constexpr double kWaiting = 0.05;

/// In how many parts a layer's rows and strips are cut.
struct Cut {
  std::size_t rows, strips;
};

std::size_t parts(std::size_t whole, std::size_t part) {
  return (whole + part - 1) / part;
}

/// Equal tiles of a layer, columns outside: threads share rows' operands, which are the smaller ones.
std::vector<kernels::OuterRange> tiles_of(const LinearLayer& layer, const TileRules& rules, Cut cut) {
  std::vector<kernels::OuterRange> tiles;
  const std::size_t strips = parts(layer.inputs, rules.strip), units = parts(layer.outputs, rules.row_unit);
  const auto row = [&](std::size_t part) {
    return std::min(units * part / cut.rows * rules.row_unit, layer.outputs);
  };
  for (std::size_t s = 0; s < cut.strips; ++s)
    for (std::size_t r = 0; r < cut.rows; ++r)
      tiles.push_back({row(r), row(r + 1), strips * s / cut.strips, strips * (s + 1) / cut.strips});
  return tiles;
}

/// Tiles of a layer for one thread.
struct Share {
  std::size_t begin, end;
};

/// Equal ones; what is left over goes to the threads from `first` on, one tile each, so that layer after
/// layer nobody has more than one tile more than others.
std::vector<Share> shares_of(std::size_t tiles, std::size_t threads, std::size_t first) {
  std::vector<Share> shares;
  for (std::size_t t = 0, begin = 0; t < threads; ++t) {
    const bool one_more = (t + threads - first) % threads < tiles % threads;
    const std::size_t end = begin + tiles / threads + (one_more ? 1 : 0);
    shares.push_back({begin, end});
    begin = end;
  }
  return shares;
}

double tile_cost(const kernels::OuterRange& tile, const TileRules& rules) {
  return (static_cast<double>(tile.row_end - tile.row_begin) + rules.column_cost) *
         (static_cast<double>((tile.strip_end - tile.strip_begin) * rules.strip) + rules.row_cost);
}

/// Of the thread with the most to do.
double layer_cost(const std::vector<kernels::OuterRange>& tiles, const TileRules& rules,
                  const std::vector<Share>& shares) {
  double longest = 0, largest = 0;
  for (const Share& share : shares) {
    double cost = 0;
    for (std::size_t i = share.begin; i < share.end; ++i) {
      cost += tile_cost(tiles[i], rules);
      largest = std::max(largest, tile_cost(tiles[i], rules));
    }
    longest = std::max(longest, cost);
  }
  return longest + (shares.size() > 1 ? kWaiting * largest : 0);
}

std::vector<kernels::OuterRange> best_tiles(const LinearLayer& layer, const TileRules& rules,
                                            std::size_t threads, std::size_t first) {
  std::vector<kernels::OuterRange> best;
  double least = 0;
  const std::size_t strips = parts(layer.inputs, rules.strip), units = parts(layer.outputs, rules.row_unit);
  const Cut coarsest{parts(units, rules.most_rows / rules.row_unit),
                     parts(strips, rules.most_columns / rules.strip)};
  const std::size_t most = std::max(coarsest.rows * coarsest.strips, kMostTilesPerThread * threads);
  for (std::size_t r = coarsest.rows; r <= std::min(units, most / coarsest.strips); ++r)
    for (std::size_t s = coarsest.strips; s <= std::min(strips, most / r); ++s) {
      std::vector<kernels::OuterRange> tiles = tiles_of(layer, rules, {r, s});
      const double cost = layer_cost(tiles, rules, shares_of(tiles.size(), threads, first));
      if (!best.empty() && cost >= least) continue;
      least = cost;
      best = std::move(tiles);
    }
  return best;
}

}  // namespace

std::vector<FisherTile> cut_fisher(const std::vector<LinearLayer>& layers, const TileRules& rules,
                                   std::size_t threads) {
  std::vector<std::vector<FisherTile>> dealt(threads);
  std::size_t first = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const std::vector<kernels::OuterRange> tiles = best_tiles(layers[l], rules, threads, first);
    const std::vector<Share> shares = shares_of(tiles.size(), threads, first);
    for (std::size_t t = 0; t < threads; ++t)
      for (std::size_t i = shares[t].begin; i < shares[t].end; ++i) dealt[t].push_back({l, tiles[i]});
    first = (first + tiles.size()) % threads;
  }
  std::vector<FisherTile> all;
  for (const std::vector<FisherTile>& own : dealt) all.insert(all.end(), own.begin(), own.end());
  return all;
}

}  // namespace fisherdiag
