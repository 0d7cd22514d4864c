// Patches of layers with few channels, whose kernel rows are gathered whole from a padded copy of their
// input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/op.hpp"
#include "fisherdiag/nn/position_table.hpp"

namespace fisherdiag {

/// The tables of kernels/pieces.hpp for one window. Columns of patches are ordered taps first, then the
/// channels of a group.
class PaddedPatches {
 public:
  /// A window over `grid` with `features` channels in `groups` groups, at `places`.
  PaddedPatches(const Window& window, const std::vector<std::size_t>& places, const ValueShape& grid,
                std::size_t groups, std::size_t lanes);

  /// Floats of scratch that pad() takes.
  static std::size_t floats(const Window& window, const ValueShape& grid, std::size_t samples,
                            std::size_t lanes);

  /// A padded copy of whole samples, in scratch.
  const float* pad(const kernels::KernelTable& kernels, const kernels::ConstStrips& samples,
                   OpScratch& scratch) const;
  kernels::PiecewisePatches group(std::size_t g) const;

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
};

}  // namespace fisherdiag
