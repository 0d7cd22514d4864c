// A square block of as many vectors as a vector has lanes, turned over in registers.
#pragma once

#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

/// rows[i] lane j becomes rows[j] lane i.
FISHERDIAG_INLINE void transpose(Vec (&rows)[kLanes]);

#if defined(__AVX512F__)
FISHERDIAG_INLINE __m512 pairs_low(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
FISHERDIAG_INLINE __m512 pairs_high(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

/// Numbers, then pairs within quarters of vectors, then quarters.
FISHERDIAG_INLINE void transpose(Vec (&rows)[kLanes]) {
  __m512 a[kLanes], b[kLanes];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    a[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    b[i] = pairs_low(a[i], a[i + 2]);
    b[i + 1] = pairs_high(a[i], a[i + 2]);
    b[i + 2] = pairs_low(a[i + 1], a[i + 3]);
    b[i + 3] = pairs_high(a[i + 1], a[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 even_low = _mm512_shuffle_f32x4(b[i], b[4 + i], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(b[i], b[4 + i], 0xdd);
    const __m512 even_high = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0x88);
    const __m512 odd_high = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0xdd);
    rows[i] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    rows[4 + i] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    rows[8 + i] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
    rows[12 + i] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
  }
}
#else
FISHERDIAG_INLINE void transpose(Vec (&rows)[kLanes]) {
  alignas(64) float from[kLanes][kLanes], to[kLanes][kLanes];
  for (std::size_t r = 0; r < kLanes; ++r) store_aligned(from[r], rows[r]);
  for (std::size_t r = 0; r < kLanes; ++r)
    for (std::size_t c = 0; c < kLanes; ++c) to[c][r] = from[r][c];
  for (std::size_t r = 0; r < kLanes; ++r) rows[r] = load_aligned(to[r]);
}
#endif

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
