// How the elements of F are dealt to the threads that own them.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/kernels/outer.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// What a pass wants of its tiles.
struct TileRules {
  std::size_t row_unit, strip;          ///< a tile's rows and columns begin at multiples of these
  std::size_t most_rows, most_columns;  ///< of a tile
  /// What a row of a tile costs beside its products, in columns, and a column, in rows.
  double row_cost, column_cost;
};

/// A rectangle of one layer's weights that one thread adds to.
struct FisherTile {
  std::size_t layer;
  kernels::OuterRange range;
};

/// Tiles that cover every layer, for `threads` threads of which each takes an equal number of them, the first
/// ones first (Context::parallel_for). A layer is cut as finely as its shares need to be even, but no finer:
/// every row and every column of a tile is loaded once more. Strips of the tiles' ranges are rules.strip
/// wide.
std::vector<FisherTile> cut_fisher(const std::vector<LinearLayer>& layers, const TileRules& rules,
                                   std::size_t threads);

}  // namespace fisherdiag
