#include "fisherdiag/nn/position_table.hpp"

namespace fisherdiag {

namespace {

/// Row-major coordinates of `index`.
std::vector<std::size_t> coordinates(std::size_t index, const std::vector<std::size_t>& dims) {
  std::vector<std::size_t> result(dims.size());
  for (std::size_t d = dims.size(); d-- > 0; index /= dims[d]) result[d] = index % dims[d];
  return result;
}

}  // namespace

std::size_t grid_points(const std::vector<std::size_t>& sizes) {
  std::size_t result = 1;
  for (const std::size_t size : sizes) result *= size;
  return result;
}

std::size_t Window::taps() const {
  return grid_points(kernel);
}

std::size_t Window::places(std::size_t d, std::size_t size) const {
  const std::size_t covered = dilation[d] * (kernel[d] - 1) + 1, padded = size + 2 * padding[d];
  return padded < covered ? 0 : (padded - covered) / stride[d] + 1;
}

std::vector<std::int32_t> position_table(const Window& window, const std::vector<std::size_t>& places,
                                         const std::vector<std::size_t>& grid) {
  const std::size_t taps = window.taps(), count = grid_points(places);
  std::vector<std::int32_t> rows(taps * count, kernels::kNoRow);
  for (std::size_t tap = 0; tap < taps; ++tap) {
    const std::vector<std::size_t> offset = coordinates(tap, window.kernel);
    for (std::size_t place = 0; place < count; ++place) {
      const std::vector<std::size_t> at = coordinates(place, places);
      std::size_t position = 0;
      bool inside = true;
      for (std::size_t d = 0; d < grid.size(); ++d) {
        const std::size_t padded = at[d] * window.stride[d] + offset[d] * window.dilation[d];
        inside = inside && padded >= window.padding[d] && padded - window.padding[d] < grid[d];
        position = position * grid[d] + (inside ? padded - window.padding[d] : 0);
      }
      if (inside) rows[tap * count + place] = static_cast<std::int32_t>(position);
    }
  }
  return rows;
}

}  // namespace fisherdiag
