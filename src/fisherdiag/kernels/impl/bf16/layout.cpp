// Contracts: kernels/bf16.hpp.
#include "fisherdiag/kernels/impl/bf16/blocks.hpp"

namespace fisherdiag::kernels::bf16 {

namespace {

/// The part of a row-major source that one block holds. What lies past rows and cols reads as 0; with kWhole
/// there is nothing past them.
template <bool kWhole>
struct Patch {
  const float* source;
  std::size_t stride;
  std::size_t rows, cols;

  FISHERDIAG_INLINE __m512 load(std::size_t row, std::size_t col) const {
    if constexpr (kWhole) return _mm512_loadu_ps(source + row * stride + col);
    if (row >= rows || col >= cols) return _mm512_setzero_ps();
    return _mm512_maskz_loadu_ps(first_lanes(cols - col), source + row * stride + col);
  }
  /// 32 consecutive elements of a row.
  FISHERDIAG_INLINE __m512i line(std::size_t row) const { return round_both(load(row, 0), load(row, kHalf)); }
  /// What their rounding left.
  FISHERDIAG_INLINE __m512i low_line(std::size_t row) const {
    return round_both(left_over(load(row, 0)), left_over(load(row, kHalf)));
  }

 private:
  FISHERDIAG_INLINE static __m512 left_over(__m512 x) {
    const __m512i bits = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)));
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
        f(r, c, Patch<true>{from, stride, height, width});
      else
        f(r, c, Patch<false>{from, stride, height, width});
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
               if (g.target.data)
                 pairs_of_lines([&](std::size_t r) { return patch.line(r); }, g.target.block(v, k));
               if (g.low.data)
                 pairs_of_lines([&](std::size_t r) { return patch.low_line(r); }, g.low.block(v, k));
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
