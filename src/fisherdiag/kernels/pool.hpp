// Max pooling on strips.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// Place t of a sample sees its positions `positions[j]` for j in [begin[t], begin[t + 1]), at least one.
struct PoolWindows {
  const std::int32_t* begin = nullptr;      ///< [places + 1]
  const std::int32_t* positions = nullptr;  ///< each below input_positions
  std::size_t places = 0;
  std::size_t input_positions = 0;
};

/// output(n * places + t, c) = the largest of input(n * input_positions + position, c) in window t; NaN if
/// one of them is. Whole samples; padding columns too.
using MaxPool = void(const PoolWindows& windows, const ConstStrips& input, const Strips& output) noexcept;

/// Adds delta(n * places + t, c) to below(n * input_positions + position, c) of the first position of the
/// window whose input equals output(n * places + t, c).
struct MaxPoolBackwardArguments {
  PoolWindows windows;
  ConstStrips input, output, delta;  ///< as max_pool saw and left them; delta has output's shape
  Strips below;                      ///< input's shape
  /// Writes instead of adding: right where each position is in one window and `below` holds nothing yet.
  bool write = false;
};
using MaxPoolBackward = void(const MaxPoolBackwardArguments&) noexcept;

}  // namespace fisherdiag::kernels
