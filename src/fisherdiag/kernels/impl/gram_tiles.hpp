// What gram_squared and gram_squares have in common: tiles and pieces.
#pragma once

#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

// A tile that keeps sums of squares in registers beside a sample's gradient: half of the registers each.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int kSmallRows = 4, kSmallStrips = 3;
#elif defined(__AVX2__)
inline constexpr int kSmallRows = 2, kSmallStrips = 3;
#else
inline constexpr int kSmallRows = 2, kSmallStrips = 2;
#endif
static_assert(kSmallStrips <= kTileStrips);

/// Rows of right, `kTileStrips` strips wide, that stay in the first-level cache.
inline constexpr std::size_t kPieceRows = 128;
/// The same for the small tile, which comes back to the same rows of left more often: they stay there too.
inline constexpr std::size_t kSmallPieceRows = 96;
/// Rows of the result whose chains are open at a time: they fit the second-level cache beside the operands.
inline constexpr std::size_t kOpenRows = 256;

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
