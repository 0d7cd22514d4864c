// Which positions of one grid a window over it sees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fisherdiag/kernels/patches.hpp"

namespace fisherdiag {

/// Points of a grid of these sizes.
std::size_t grid_points(const std::vector<std::size_t>& sizes);

/// A sliding window over a grid of one or two dimensions, as convolution and pooling use it.
struct Window {
  std::vector<std::size_t> kernel, stride, padding, dilation;  ///< one for each dimension of the grid

  std::size_t taps() const;
  /// Places of the window along dimension d of a grid `size` wide; 0 if it does not fit.
  std::size_t places(std::size_t d, std::size_t size) const;
};

/// rows[tap * places + place] = position of the grid, or kernels::kNoRow where the window hangs over its
/// edge. Taps, places and positions are row-major. `grid` is what the window slides over, `places` how often.
std::vector<std::int32_t> position_table(const Window& window, const std::vector<std::size_t>& places,
                                         const std::vector<std::size_t>& grid);

}  // namespace fisherdiag
