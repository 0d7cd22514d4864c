#include "fisherdiag/nn/padded_patches.hpp"

#include <algorithm>

namespace fisherdiag {

namespace {

/// Sizes of the grid with its padding.
std::vector<std::size_t> padded_sizes(const Window& window, const std::vector<std::size_t>& grid) {
  std::vector<std::size_t> sizes;
  for (std::size_t d = 0; d < grid.size(); ++d) sizes.push_back(grid[d] + 2 * window.padding[d]);
  return sizes;
}

/// For every point of `points`, row-major: its place on `sizes`, row-major, at step * coordinate + start.
std::vector<std::size_t> places_of(const std::vector<std::size_t>& points,
                                   const std::vector<std::size_t>& step,
                                   const std::vector<std::size_t>& start,
                                   const std::vector<std::size_t>& sizes) {
  std::vector<std::size_t> result;
  for (std::size_t point = 0; point < grid_points(points); ++point) {
    std::size_t place = 0, rest = point, outer = 1;
    for (std::size_t d = points.size(); d-- > 0; rest /= points[d]) {
      place += (rest % points[d] * step[d] + start[d]) * outer;
      outer *= sizes[d];
    }
    result.push_back(place);
  }
  return result;
}

}  // namespace

PaddedPatches::PaddedPatches(const Window& window, const std::vector<std::size_t>& places,
                             const ValueShape& grid, std::size_t groups, std::size_t lanes)
    : features_(grid.features), lanes_(lanes) {
  const std::vector<std::size_t> sizes = padded_sizes(window, grid.grid);
  const std::vector<std::size_t> ones(sizes.size(), 1), zeros(sizes.size(), 0);
  sample_floats_ = grid_points(sizes) * features_;
  for (const std::size_t place : places_of(grid.grid, ones, window.padding, sizes))
    offsets_.push_back(static_cast<std::int32_t>(place * features_));
  for (const std::size_t place : places_of(places, window.stride, zeros, sizes))
    bases_.push_back(static_cast<std::int32_t>(place * features_));
  const std::vector<std::size_t> taps = places_of(window.kernel, window.dilation, zeros, sizes);
  const std::size_t channels = features_ / groups;
  for (std::size_t g = 0; g < groups; ++g) groups_.push_back(pieces_of(taps, g * channels, channels, lanes));
  for (const std::size_t tap : taps) {
    const auto at = static_cast<std::int32_t>(tap * features_);
    if (runs_.empty() || runs_.back().offset + runs_.back().length != at) runs_.push_back({at, 0});
    runs_.back().length += static_cast<std::int32_t>(channels);
  }
}

std::vector<kernels::GridStrip> PaddedPatches::strips(std::size_t begin, std::size_t end) const {
  std::vector<kernels::GridStrip> result;
  std::size_t first = 0;  // column of the run
  for (const kernels::GridRun& run : runs_) {
    const std::size_t last = std::min(end, first + static_cast<std::size_t>(run.length));
    for (std::size_t c = std::max(begin, first); c < last; c += lanes_)
      result.push_back({run.offset + static_cast<std::int32_t>(c - first), static_cast<std::int32_t>(c),
                        static_cast<std::int32_t>(std::min(lanes_, last - c))});
    first += static_cast<std::size_t>(run.length);
  }
  return result;
}

PaddedPatches::Pieces PaddedPatches::pieces_of(const std::vector<std::size_t>& taps,
                                               std::size_t first_channel, std::size_t channels,
                                               std::size_t lanes) const {
  Pieces result;
  for (std::size_t j = 0; j < taps.size() * channels; ++j) {
    const std::size_t lane = j % lanes;
    if (lane == 0) result.begin.push_back(static_cast<std::int32_t>(result.pieces.size()));
    const auto at = static_cast<std::int32_t>(taps[j / channels] * features_ + first_channel + j % channels);
    const auto offset = at - static_cast<std::int32_t>(lane);
    // A number that follows the one before it belongs to the same piece.
    if (lane == 0 || result.pieces.back().offset != offset)
      result.pieces.push_back({static_cast<std::int32_t>(lane), offset});
  }
  result.begin.push_back(static_cast<std::int32_t>(result.pieces.size()));
  return result;
}

std::size_t PaddedPatches::floats(const Window& window, const ValueShape& grid, std::size_t samples,
                                  std::size_t lanes) {
  const std::size_t numbers = samples * grid_points(padded_sizes(window, grid.grid)) * grid.features;
  return OpScratch::floats((numbers + lanes - 1) / lanes + 2, lanes, lanes);
}

const float* PaddedPatches::pad(const kernels::KernelTable& kernels, const kernels::ConstStrips& samples,
                                OpScratch& scratch) const {
  const std::size_t count = samples.rows / offsets_.size();
  // Pieces are read as whole vectors: one of room on either side.
  const kernels::Strips room = scratch.strips((count * sample_floats_ + lanes_ - 1) / lanes_ + 2, lanes_);
  float* grid = room.data + lanes_;
  kernels.pad_grid({offsets_.data(), offsets_.size(), sample_floats_}, samples, grid);
  return grid;
}

kernels::PiecewisePatches PaddedPatches::group(std::size_t g) const {
  return {bases_.data(), bases_.size(), sample_floats_, groups_[g].pieces.data(), groups_[g].begin.data()};
}

}  // namespace fisherdiag
