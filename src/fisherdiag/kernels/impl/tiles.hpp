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

// Depth of a product taken at a time: a column block of the vector operand, depth x kTileStrips vectors,
// stays near while all rows pass by. Pieces are even, because each costs the loads and stores of its tiles'
// sums. docs/performance.md has the measurements.
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

// Where only the lower half of a vector counts and half a product costs half: the last strip of a narrow
// result.
#if defined(__AVX512F__)
inline constexpr bool kHasHalves = true;
using Half = __m256;
FISHERDIAG_INLINE Half lower_half(Vec v) {
  return _mm512_castps512_ps256(v);
}
FISHERDIAG_INLINE Vec whole_of(Half h) {
  return _mm512_zextps256_ps512(h);
}
FISHERDIAG_INLINE Half upper_half(Vec v) {
  return _mm512_extractf32x8_ps(v, 1);
}
FISHERDIAG_INLINE Vec whole_of(Half lower, Half upper) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(lower), upper, 1);
}
FISHERDIAG_INLINE Half broadcast_half(float x) {
  return _mm256_set1_ps(x);
}
FISHERDIAG_INLINE Half load_half(const float* p) {
  return _mm256_load_ps(p);
}
FISHERDIAG_INLINE Half multiply_add_halves(Half a, Half b, Half c) {
  return _mm256_fmadd_ps(a, b, c);
}
#else
inline constexpr bool kHasHalves = false;
using Half = Vec;
FISHERDIAG_INLINE Half lower_half(Vec v) {
  return v;
}
FISHERDIAG_INLINE Vec whole_of(Half h) {
  return h;
}
FISHERDIAG_INLINE Half load_half(const float* p) {
  return load_aligned(p);
}
FISHERDIAG_INLINE Half multiply_add_halves(Half a, Half b, Half c) {
  return multiply_add(a, b, c);
}
#endif

/// Sums of a register tile while products are added to them; with HalfTail half of the last strip is summed.
/// Made before the loops, so that halves stay halves in them.
template <bool HalfTail, int Rows, int Cols>
struct RunningSums {
  static constexpr int kWhole = HalfTail ? Cols - 1 : Cols;
  Vec (&whole)[Rows][Cols];
  Half half[Rows];

  FISHERDIAG_INLINE explicit RunningSums(Vec (&sums)[Rows][Cols]) : whole(sums) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) half[r] = lower_half(sums[r][Cols - 1]);
  }
  /// Puts the halves back.
  FISHERDIAG_INLINE void finish() {
    if constexpr (HalfTail) {
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) whole[r][Cols - 1] = whole_of(half[r]);
    }
  }
  /// += left(r) b(c) with left(r) the number to broadcast to row r.
  template <class Left>
  FISHERDIAG_INLINE void add(const Left& left, const float* b, std::size_t b_stride) {
    Vec right[Cols];
#pragma GCC unroll 4
    for (int c = 0; c < kWhole; ++c) right[c] = load_aligned(b + c * b_stride);
    const Half last = load_half(b + (Cols - 1) * b_stride);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec a(left(r));
#pragma GCC unroll 4
      for (int c = 0; c < kWhole; ++c) whole[r][c] = multiply_add(a, right[c], whole[r][c]);
      if constexpr (HalfTail) half[r] = multiply_add_halves(lower_half(a), last, half[r]);
    }
  }
};

#if defined(__AVX512F__)
/// One strip and a half: three halves of sums, so that all multiply-adds are of one kind.
template <int Rows>
struct RunningSums<true, Rows, 2> {
  Vec (&whole)[Rows][2];
  Half part[Rows][3];

  FISHERDIAG_INLINE explicit RunningSums(Vec (&sums)[Rows][2]) : whole(sums) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      part[r][0] = lower_half(sums[r][0]);
      part[r][1] = upper_half(sums[r][0]);
      part[r][2] = lower_half(sums[r][1]);
    }
  }
  FISHERDIAG_INLINE void finish() {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      whole[r][0] = whole_of(part[r][0], part[r][1]);
      whole[r][1] = whole_of(part[r][2]);
    }
  }
  template <class Left>
  FISHERDIAG_INLINE void add(const Left& left, const float* b, std::size_t b_stride) {
    const Half right[3] = {load_half(b), load_half(b + kLanes / 2), load_half(b + b_stride)};
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Half a = broadcast_half(left(r));
#pragma GCC unroll 3
      for (int c = 0; c < 3; ++c) part[r][c] = multiply_add_halves(a, right[c], part[r][c]);
    }
  }
};

/// Half a strip.
template <int Rows>
struct RunningSums<true, Rows, 1> {
  Vec (&whole)[Rows][1];
  Half half[Rows];

  FISHERDIAG_INLINE explicit RunningSums(Vec (&sums)[Rows][1]) : whole(sums) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) half[r] = lower_half(sums[r][0]);
  }
  FISHERDIAG_INLINE void finish() {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) whole[r][0] = whole_of(half[r]);
  }
  template <class Left>
  FISHERDIAG_INLINE void add(const Left& left, const float* b, std::size_t) {
    const Half right = load_half(b);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) half[r] = multiply_add_halves(broadcast_half(left(r)), right, half[r]);
  }
};
#endif

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
