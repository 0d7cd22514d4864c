// Patches of a convolution: which rows a position sees, side by side (im2col), and the way back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// A row of a PatchTable that is outside the sample: padding, all zeros.
inline constexpr std::int32_t kNoRow = -1;

/// Position t of the wide side sees, through tap k, row rows[k * positions + t] of the narrow side.
struct PatchTable {
  const std::int32_t* rows = nullptr;  ///< [taps, positions], each kNoRow or in [0, narrow_positions)
  std::size_t taps = 0;
  std::size_t positions = 0;         ///< of a sample on the wide side
  std::size_t narrow_positions = 0;  ///< of a sample on the narrow side
  std::size_t first_channel = 0;     ///< channels [first_channel, first_channel + channels) take part
  std::size_t channels = 0;
};

/// wide(r, j - first_column) = narrow(n S + rows[k, t], first_channel + c), or 0 for kNoRow, for row
/// first_row + r = n T + t and column j = k C + c: taps outside, channels inside, without gaps.
///
/// Shapes    narrow [N S, >= first_channel + C], wide [any number of rows, any number of columns] in strips;
///           first_column is a multiple of the lanes. wide has room for one more row, which may be written.
///           Of narrow only the rows of the samples concerned are read: others may be written meanwhile.
///           Padding columns of wide are not defined.
/// Cost      one vector moved for each row and strip where C and first_channel are multiples of the lanes;
///           else one more for each channel run that starts within a strip.
using GatherPatches = void(const PatchTable& table, const ConstStrips& narrow, std::size_t first_row,
                           std::size_t first_column, const Strips& wide) noexcept;

/// The transpose: narrow(n S + rows[k, t], first_channel + c) += wide(r, k C + c) for row first_row + r = n T
/// + t, all columns, rows in order. Rows of other samples are not touched: they may be another thread's.
using ScatterPatches = void(const PatchTable& table, const ConstStrips& wide, std::size_t first_row,
                            const Strips& narrow) noexcept;

}  // namespace fisherdiag::kernels
