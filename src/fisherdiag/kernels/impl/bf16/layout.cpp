// Contracts: kernels/bf16.hpp.
#include "fisherdiag/kernels/impl/bf16/blocks.hpp"

namespace fisherdiag::kernels::bf16 {

namespace {

/// 16 bits of noise below the ones that stay, then truncation: up with the probability of what is cut off.
/// Noise is a hash of the word and the column (C. Wellons' lowbias32).
FISHERDIAG_INLINE __m256i round_at_random(__m512 x, std::uint32_t word, std::size_t first_col) {
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i column = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first_col)), lanes);
  __m512i u = _mm512_xor_si512(_mm512_set1_epi32(static_cast<int>(word)),
                               _mm512_mullo_epi32(column, _mm512_set1_epi32(static_cast<int>(0x9e3779b9u))));
  u = _mm512_xor_si512(u, _mm512_srli_epi32(u, 16));
  u = _mm512_mullo_epi32(u, _mm512_set1_epi32(0x7feb352d));
  u = _mm512_xor_si512(u, _mm512_srli_epi32(u, 15));
  u = _mm512_mullo_epi32(u, _mm512_set1_epi32(static_cast<int>(0x846ca68bu)));
  const __m512i noise = _mm512_srli_epi32(u, 16);
  // Noise must not carry a NaN's payload into its sign.
  const __mmask16 ordered = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
  const __m512i bits = _mm512_castps_si512(x);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_add_epi32(bits, ordered, bits, noise), 16));
}

/// The part of a row-major source that one block holds. What lies past rows and cols reads as 0; with kWhole
/// there is nothing past them.
template <bool kWhole>
struct Patch {
  const float* source;
  std::size_t stride;
  std::size_t rows, cols;
  std::size_t first_row, first_col;  // of the patch within the source

  FISHERDIAG_INLINE __m512 load(std::size_t row, std::size_t col) const {
    if constexpr (kWhole) return _mm512_loadu_ps(source + row * stride + col);
    if (row >= rows || col >= cols) return _mm512_setzero_ps();
    return _mm512_maskz_loadu_ps(first_lanes(cols - col), source + row * stride + col);
  }
  /// 32 consecutive elements of a row.
  FISHERDIAG_INLINE __m512i line(std::size_t row) const { return round_both(load(row, 0), load(row, kHalf)); }
  /// The same, rounded at random with the words of the source's rows.
  FISHERDIAG_INLINE __m512i dithered_line(std::size_t row, const std::uint32_t* words) const {
    const std::uint32_t word = row < rows ? words[first_row + row] : 0;
    const __m256i low = round_at_random(load(row, 0), word, first_col);
    const __m256i high = round_at_random(load(row, kHalf), word, first_col + kHalf);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
};

FISHERDIAG_INLINE std::size_t rest(std::size_t total, std::size_t block) {
  return total - block * kBf16Block;
}

/// Calls f(block of rows, block of columns, its patch) for a row-major source.
template <class F>
FISHERDIAG_INLINE void for_blocks(const float* source, std::size_t stride, std::size_t rows, std::size_t cols,
                                  const F& f) {
  for (std::size_t r = 0; r < bf16_blocks(rows); ++r)
    for (std::size_t c = 0; c < bf16_blocks(cols); ++c) {
      const float* from = source + r * kBf16Block * stride + c * kBf16Block;
      const std::size_t height = rest(rows, r), width = rest(cols, c);
      if (height >= kBf16Block && width >= kBf16Block)
        f(r, c, Patch<true>{from, stride, height, width, r * kBf16Block, c * kBf16Block});
      else
        f(r, c, Patch<false>{from, stride, height, width, r * kBf16Block, c * kBf16Block});
    }
}

/// Lines line(0) .. line(31) become vectors, in pairs along their elements.
template <class Line>
FISHERDIAG_INLINE void pairs_of_lines(const Line& line, Bf16* target) {
  for (std::size_t half = 0; half < 2; ++half) {
    __m512i rows[kHalf];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kHalf; ++r) rows[r] = line(half * kHalf + r);
    transpose(rows);
#pragma GCC unroll 16
    for (std::size_t p = 0; p < kHalf; ++p)
      store_block(target + half * kTileElements + p * kBf16Block, rows[p]);
  }
}

/// Columns of the patch become vectors, in pairs of rows, squared.
template <bool kWhole>
FISHERDIAG_INLINE void squared_pairs_of_columns(const Patch<kWhole>& patch, Bf16* target) {
  for (std::size_t half = 0; half < 2; ++half)
    for (std::size_t p = 0; p < kHalf; ++p) {
      const __m512 even = patch.load(2 * p, half * kHalf), odd = patch.load(2 * p + 1, half * kHalf);
      store_block(target + half * kTileElements + p * kBf16Block,
                  round_pairs(_mm512_mul_ps(even, even), _mm512_mul_ps(odd, odd)));
    }
}

/// Columns of the patch become vectors, each a line.
template <bool kWhole>
FISHERDIAG_INLINE void lines_of_columns(const Patch<kWhole>& patch, Bf16* target) {
  for (std::size_t half = 0; half < 2; ++half) {
    __m512i pairs[kHalf];
#pragma GCC unroll 16
    for (std::size_t p = 0; p < kHalf; ++p)
      pairs[p] = round_pairs(patch.load(2 * p, half * kHalf), patch.load(2 * p + 1, half * kHalf));
    transpose(pairs);
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kHalf; ++v)
      store_block(target + half * kTileElements + v * kBf16Block, pairs[v]);
  }
}

/// sums[first + 2 i] = even[i], sums[first + 2 i + 1] = odd[i] for those below `depth`.
FISHERDIAG_INLINE void store_sums(__m512 even, __m512 odd, std::size_t first, std::size_t depth,
                                  float* sums) {
  alignas(64) float part[2][kHalf];
  _mm512_store_ps(part[0], even);
  _mm512_store_ps(part[1], odd);
  for (std::size_t i = 0; i < kBf16Block && first + i < depth; ++i) sums[first + i] = part[i % 2][i / 2];
}

}  // namespace

void lines_from_rows(const float* source, std::size_t stride, const Bf16Lines& target) noexcept {
  for_blocks(source, stride, target.vectors, target.depth,
             [&](std::size_t v, std::size_t k, const auto& patch) {
               for (std::size_t r = 0; r < kBf16Block; ++r)
                 store_block(target.block(v, k) + r * kBf16Block, patch.line(r));
             });
}

void lines_from_columns(const float* source, std::size_t stride, const Bf16Lines& target) noexcept {
  for_blocks(
      source, stride, target.depth, target.vectors,
      [&](std::size_t k, std::size_t v, const auto& patch) { lines_of_columns(patch, target.block(v, k)); });
}

void pairs_from_rows(const Bf16PairsArguments& g) noexcept {
  for_blocks(g.source, g.source_stride, g.target.vectors, g.target.depth,
             [&](std::size_t v, std::size_t k, const auto& patch) {
               if (g.target.data && g.dither)
                 pairs_of_lines([&](std::size_t r) { return patch.dithered_line(r, g.dither); },
                                g.target.block(v, k));
               else if (g.target.data)
                 pairs_of_lines([&](std::size_t r) { return patch.line(r); }, g.target.block(v, k));
               if (g.squared.data) squared_pairs_of_columns(patch, g.squared.block(k, v));
             });
}

void line_sums(const ConstBf16Lines& lines, double* sums) noexcept {
  const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  for (std::size_t v = 0; v < lines.vectors; ++v) {
    const Bf16* line = lines.block(v / kBf16Block, 0) + v % kBf16Block * kBf16Block;
    __m512 sum = _mm512_setzero_ps();
    for (std::size_t k = 0; k < bf16_blocks(lines.depth); ++k)
      sum = _mm512_dpbf16_ps(sum, (__m512bh)load_block(line + k * kBf16BlockElements), ones);
    sums[v] += static_cast<double>(_mm512_reduce_add_ps(sum));
  }
}

void line_depth_sums(const ConstBf16Lines& lines, float* sums) noexcept {
  for (std::size_t k = 0; k < bf16_blocks(lines.depth); ++k) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (std::size_t v = 0; v < lines.vectors; ++v) {
      const __m512i line = load_block(lines.block(v / kBf16Block, k) + v % kBf16Block * kBf16Block);
      even = _mm512_add_ps(even, even_of(line));
      odd = _mm512_add_ps(odd, odd_of(line));
    }
    store_sums(even, odd, k * kBf16Block, lines.depth, sums);
  }
}

void pair_depth_sums(const ConstBf16Pairs& pairs, float* sums) noexcept {
  for (std::size_t k = 0; k < bf16_blocks(pairs.depth); ++k) {
    __m512 even[kHalf], odd[kHalf];  // of each pair of depths, over the vectors of a tile
    for (std::size_t p = 0; p < kHalf; ++p) even[p] = odd[p] = _mm512_setzero_ps();
    for (std::size_t first = 0; first < pairs.vectors; first += kHalf) {
      const Bf16* tile = pairs.block(first / kBf16Block, k) + first % kBf16Block / kHalf * kTileElements;
      const __mmask16 own = first_lanes(pairs.vectors - first);
      for (std::size_t p = 0; p < kHalf; ++p) {
        const __m512i row = _mm512_maskz_mov_epi32(own, load_block(tile + p * kBf16Block));
        even[p] = _mm512_add_ps(even[p], even_of(row));
        odd[p] = _mm512_add_ps(odd[p], odd_of(row));
      }
    }
    for (std::size_t p = 0; p < kHalf; ++p) {
      const std::size_t depth = k * kBf16Block + 2 * p;
      if (depth < pairs.depth) sums[depth] = _mm512_reduce_add_ps(even[p]);
      if (depth + 1 < pairs.depth) sums[depth + 1] = _mm512_reduce_add_ps(odd[p]);
    }
  }
}

}  // namespace fisherdiag::kernels::bf16
