// What the bfloat16 kernels share: rounding, interleaving and transposing in registers.
#pragma once

#include "fisherdiag/kernels/bf16.hpp"
#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::bf16 {

inline constexpr std::size_t kHalf = kBf16Block / 2;  // vectors of a tile, and lanes of a float vector
inline constexpr std::size_t kTileElements = kBf16BlockElements / 2;

/// Both rounded to nearest even: `low` in elements 0-15, `high` in 16-31.
FISHERDIAG_INLINE __m512i round_both(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/// As round_both with the elements of the two alternating: 16 pairs.
FISHERDIAG_INLINE __m512i round_pairs(__m512 even, __m512 odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                         22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, round_both(even, odd));
}

/// The first and the second elements of 16 pairs, exact in float.
FISHERDIAG_INLINE __m512 even_of(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}
FISHERDIAG_INLINE __m512 odd_of(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

FISHERDIAG_INLINE __m512i load_block(const Bf16* p) {
  return _mm512_load_si512(p);
}
FISHERDIAG_INLINE void store_block(Bf16* p, __m512i v) {
  _mm512_store_si512(p, v);
}

/// Lanes [0, count) of 16, count any size.
FISHERDIAG_INLINE __mmask16 first_lanes(std::size_t count) {
  return count >= kHalf ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << count) - 1u);
}

/// Transposes 16 rows of 16 32-bit elements.
FISHERDIAG_INLINE void transpose(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // r[4 g + c] now holds, in its four 128-bit parts p, column 4 p + c of rows 4 g .. 4 g + 3.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    t[c] = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88);
    t[4 + c] = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xdd);
    t[8 + c] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88);
    t[12 + c] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xdd);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    r[c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0x88);
    r[8 + c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0xdd);
    r[4 + c] = _mm512_shuffle_i32x4(t[4 + c], t[12 + c], 0x88);
    r[12 + c] = _mm512_shuffle_i32x4(t[4 + c], t[12 + c], 0xdd);
  }
}

}  // namespace fisherdiag::kernels::bf16
