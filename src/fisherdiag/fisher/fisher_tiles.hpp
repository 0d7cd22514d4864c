// How the elements of F are dealt to the threads that own them.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/kernels/outer.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// Rows of a tile at most: wide and short, so that the rows' operand stays in the second-level cache while
/// the columns' one passes through it once.
inline constexpr std::size_t kTileRows = 64;

/// A rectangle of one layer's weights that one thread adds to.
struct FisherTile {
  std::size_t layer;
  kernels::OuterRange range;
};

/// Tiles that cover every layer, for `threads` threads of which each takes an equal number of them, the first
/// ones first (Context::parallel_for). A layer is cut as finely as its shares need to be even, but no finer:
/// every row and every column of a tile is loaded once more.
std::vector<FisherTile> cut_fisher(const std::vector<LinearLayer>& layers, std::size_t lanes,
                                   std::size_t threads);

}  // namespace fisherdiag
