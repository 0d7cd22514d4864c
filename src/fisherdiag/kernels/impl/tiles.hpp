// Register tiles: how many rows and strips of a product are held in registers at each level.
#pragma once

#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

// rows * strips accumulators, `strips` vectors of one operand and one broadcast must fit the register file,
// and accumulators must cover latency * ports (4 * 2 on current cores). docs/performance.md has the sweep.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int kTileRows = 8;
inline constexpr int kTileStrips = 3;  // 24 of 32 registers
#elif defined(__AVX2__)
inline constexpr int kTileRows = 4;
inline constexpr int kTileStrips = 3;  // 12 of 16
#else
inline constexpr int kTileRows = 4;
inline constexpr int kTileStrips = 2;  // 8 of 16; multiplies need a temporary each
#endif
static_assert(kRowTile % kTileRows == 0);

// Depth of a product taken at a time: a column block of the vector operand, depth x kTileStrips vectors, stays
// near while all rows pass by. Pieces are even, because each costs the loads and stores of its tiles' sums.
// docs/performance.md has the measurements.
inline constexpr std::size_t kGemmDepth = 224;
inline constexpr std::size_t kOuterDepth = 512;  // a whole chain
/// Depth of the rows' side of a gemm that stays in the second-level cache.
inline constexpr std::size_t kGemmDepthL2 = 6 * kGemmDepth;

/// Cuts `total` into ceil(total / most) parts whose sizes differ by at most one.
struct EvenParts {
  std::size_t parts, small, larger;  // `larger` parts of small + 1, the rest of small
  EvenParts(std::size_t total, std::size_t most)
      : parts((total + most - 1) / most),
        small(parts ? total / parts : 0),
        larger(parts ? total % parts : 0) {}
  std::size_t size(std::size_t part) const { return small + (part < larger ? 1 : 0); }
  std::size_t begin(std::size_t part) const { return part * small + (part < larger ? part : larger); }
};

FISHERDIAG_INLINE std::size_t smaller(std::size_t a, std::size_t b) {
  return a < b ? a : b;
}

template <int V>
struct Constant {
  static constexpr int value = V;
};

/// Calls f(Constant<n>{}) for a run-time n in 1..Most.
template <int Most, class F>
FISHERDIAG_INLINE void with_constant(std::size_t n, const F& f) {
  if constexpr (Most > 1) {
    if (n < static_cast<std::size_t>(Most)) return with_constant<Most - 1>(n, f);
  }
  f(Constant<Most>{});
}

/// acc += left(k, rows) right(k, strips) for k = 0..n-1.
template <int Rows, int Cols>
FISHERDIAG_INLINE void multiply_tile(Vec (&acc)[Rows][Cols], const float* left, const float* right,
                                     std::size_t right_stride, std::size_t n) {
  for (std::size_t k = 0; k < n; ++k) {
    Vec b[Cols];
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) b[c] = load_aligned(right + c * right_stride + k * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec a(left[k * kLanes + r]);
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) acc[r][c] = multiply_add(a, b[c], acc[r][c]);
    }
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
