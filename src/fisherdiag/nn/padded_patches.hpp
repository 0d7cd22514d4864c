// Patches of a window over a padded copy of its input, in which rows of its kernel lie side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/op.hpp"
#include "fisherdiag/nn/position_table.hpp"

namespace fisherdiag {

/// The tables of kernels/pieces.hpp and kernels/window.hpp for one window. Columns of patches are ordered
/// taps first, then the channels of a group.
class PaddedPatches {
 public:
  /// A window over `grid` with `features` channels in `groups` groups, at `places`.
  PaddedPatches(const Window& window, const std::vector<std::size_t>& places, const ValueShape& grid,
                std::size_t groups, std::size_t lanes);

  /// Floats of scratch that pad() takes.
  static std::size_t floats(const Window& window, const ValueShape& grid, std::size_t samples,
                            std::size_t lanes);

  std::size_t sample_floats() const { return sample_floats_; }
  /// A padded copy of whole samples, in scratch.
  const float* pad(const kernels::KernelTable& kernels, const kernels::ConstStrips& samples,
                   OpScratch& scratch) const;
  kernels::PiecewisePatches group(std::size_t g) const;

  /// For products that read patches from the grid; of windows with one group.
  kernels::GridRows rows(const float* grid) const {
    return {grid, bases_.data(), bases_.size(), sample_floats_};
  }
  const std::vector<kernels::GridRun>& runs() const { return runs_; }
  /// Columns [begin, end) of the patches, cut into vectors that are neighbours in the grid.
  std::vector<kernels::GridStrip> strips(std::size_t begin, std::size_t end) const;

 private:
  struct Pieces {
    std::vector<kernels::PatchPiece> pieces;
    std::vector<std::int32_t> begin;
  };
  Pieces pieces_of(const std::vector<std::size_t>& taps, std::size_t first_channel, std::size_t channels,
                   std::size_t lanes) const;

  std::size_t features_, lanes_, sample_floats_ = 0;
  std::vector<std::int32_t> offsets_, bases_;
  std::vector<Pieces> groups_;
  std::vector<kernels::GridRun> runs_;
};

}  // namespace fisherdiag
