// What flows between the layers of a graph.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fisherdiag {

/// One sample's values at a place of the graph: `features` numbers at each position of a grid. In memory a
/// block of N samples is a matrix in strips [N * positions(), features], the positions of a sample one after
/// the other in row-major order of the grid.
struct ValueShape {
  std::vector<std::size_t> grid;  ///< {}: a single position; {T}: a sequence or signal; {H, W}: an image
  std::size_t features = 0;       ///< numbers per position: channels, or the width of a token
  /// How frameworks, data and `flatten` order a sample's numbers: [features, grid...] as in images (true) or
  /// [grid..., features] as in sequences (false).
  bool channels_first = true;

  std::size_t positions() const {
    std::size_t product = 1;
    for (const std::size_t d : grid) product *= d;
    return product;
  }
  std::size_t size() const { return positions() * features; }
  bool operator==(const ValueShape&) const = default;

  /// "[3, 32, 32]" in the order of channels_first.
  std::string text() const;
};

}  // namespace fisherdiag
