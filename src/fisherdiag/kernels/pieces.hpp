// Patches of a convolution from a padded grid: neighbouring taps and channels are neighbours in memory, so
// that a row of a kernel is one run of numbers however few channels there are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// Where a sample's positions go in its padded grid: numbers of a position side by side, positions in order,
/// zeros all around.
struct PaddedGrid {
  const std::int32_t* offsets =
      nullptr;                    ///< [positions]: floats from the sample's start to a position's first
  std::size_t positions = 0;      ///< of a sample
  std::size_t sample_floats = 0;  ///< from one sample to the next, padding included
};

/// Part of a vector of a patch: from `lane` on, or up to where the next piece starts, lane i holds
/// grid[base + offset + i].
struct PatchPiece {
  std::int32_t lane = 0;    ///< the first piece of a vector has lane 0, the others more than the one before
  std::int32_t offset = 0;  ///< may be negative by less than a vector
};

/// Position t sees, in strip s of its patch, pieces [piece_begin[s], piece_begin[s + 1]) with base =
/// bases[t].
struct PiecewisePatches {
  const std::int32_t* bases = nullptr;  ///< [positions], floats
  std::size_t positions = 0;            ///< of a sample, on the side that sees
  std::size_t sample_floats = 0;        ///< as in PaddedGrid
  const PatchPiece* pieces = nullptr;
  const std::int32_t* piece_begin = nullptr;  ///< [strips of a whole patch + 1]
};

/// grid[n * sample_floats + offsets[t] + c] = narrow(n * positions + t, c), all else 0; rows of whole
/// samples, offsets growing. Up to a vector past the last sample may be written.
/// Cost      one vector moved for each row and strip, and the zeros.
using PadGrid = void(const PaddedGrid& layout, const ConstStrips& narrow, float* grid) noexcept;

/// wide(r, s * lanes + i) = grid[n * sample_floats + base + offset + i] of the piece lane i belongs to, for
/// row first_row + r = n * positions + t and strip first_strip + s. `grid` can be read one vector before and
/// past what the pieces cover. Padding columns of wide get what the last piece goes on with. Cost      one
/// load for each piece, one store for each row and strip.
using GatherPieces = void(const PiecewisePatches& patches, const float* grid, std::size_t first_row,
                          std::size_t first_strip, const Strips& wide) noexcept;

}  // namespace fisherdiag::kernels
