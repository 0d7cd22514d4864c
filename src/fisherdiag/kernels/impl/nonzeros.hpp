// Lists of the elements of a left operand that are not zero, and the product that walks them.
#pragma once

#include "fisherdiag/kernels/impl/tiles.hpp"
#include "fisherdiag/kernels/impl/transpose.hpp"
#include "fisherdiag/kernels/skip.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

/// Strips of the result taken at a time: one row's sums in registers, enough of them to hide the latency of a
/// multiply-add and to repay the entry's own loads.
inline constexpr int kSkipStrips = 8;
/// Depth of a piece: its packed rows of the right operand, kSkipStrips vectors each, fill a first-level cache
/// of 32 KiB. Less of it misses with a smaller piece, but every piece costs each row the loads and stores of
/// its sums and a branch that goes astray at the end of its list. A multiple of the lanes.
inline constexpr std::size_t kSkipPiece =
    (std::size_t{32} << 10) / (kSkipStrips * kLanes * sizeof(float)) / kLanes * kLanes;
static_assert((kSkipDepth + kSkipPiece - 1) / kSkipPiece <= kSkipPieces);

/// Above this share of non-zero elements the dense kernel is faster, below it never slower.
#if defined(__AVX512F__)
inline constexpr double kSkipShare = 0.58;
#else
inline constexpr double kSkipShare = 0.55;
#endif

/// Where one row's lists start and how long they are, piece after piece.
struct NonZeroLists {
  SkipScratch scratch;
  std::size_t pieces;
  FISHERDIAG_INLINE NonZero* row(std::size_t r) const { return scratch.entries + r * kSkipDepth; }
  FISHERDIAG_INLINE std::uint32_t& count(std::size_t r, std::size_t piece) const {
    return scratch.counts[r * pieces + piece];
  }
};

FISHERDIAG_INLINE std::size_t piece_end(std::size_t begin, std::size_t depth) {
  return smaller(begin + kSkipPiece, depth);
}

FISHERDIAG_INLINE NonZero entry(float value, std::size_t k) {
  return {value, static_cast<std::uint32_t>(k * kSkipStrips * kLanes)};
}

#if defined(__AVX512F__)

/// (first + i) * step in lane i.
FISHERDIAG_INLINE __m512i counting_lanes(std::size_t first, int step) {
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm512_mullo_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(first))),
                            _mm512_set1_epi32(step));
}

/// Appends those lanes of `values` that are not zero, with their offsets. Writes 16 entries.
FISHERDIAG_INLINE NonZero* append_lanes(__m512 values, __m512i offsets, NonZero* out) {
  const __mmask16 set = _mm512_cmp_ps_mask(values, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const __m512 kept = _mm512_maskz_compress_ps(set, values);
  const __m512 places = _mm512_castsi512_ps(_mm512_maskz_compress_epi32(set, offsets));
  // Value and place in turn: from 16 on an index means the second operand.
  const __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  float* target = &out->value;
  _mm512_storeu_ps(target, _mm512_permutex2var_ps(kept, first, places));
  _mm512_storeu_ps(target + 16, _mm512_permutex2var_ps(kept, second, places));
  return out + __builtin_popcount(set);
}

/// Lane i belongs to depth k + i.
FISHERDIAG_INLINE NonZero* append_lanes(__m512 values, std::size_t k, NonZero* out) {
  return append_lanes(values, counting_lanes(k, kSkipStrips * static_cast<int>(kLanes)), out);
}

#elif defined(__AVX2__)

/// For each set of lanes, as bits: their numbers in order, a byte each, in the low bytes.
struct LaneNumbers {
  std::uint64_t of[256];
  constexpr LaneNumbers() : of{} {
    for (unsigned set = 0; set < 256; ++set) {
      unsigned shift = 0;
      for (std::uint64_t lane = 0; lane < 8; ++lane)
        if (set >> lane & 1) {
          of[set] |= lane << shift;
          shift += 8;
        }
    }
  }
};
inline constexpr LaneNumbers kLaneNumbers;

/// Appends those of the values v[0..8) that are not zero; v[i] belongs to depth k + i. Writes 8 entries.
FISHERDIAG_INLINE NonZero* append_eight(const float* v, std::size_t k, NonZero* out) {
  const __m256 values = _mm256_loadu_ps(v);
  const auto set =
      static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(values, _mm256_setzero_ps(), _CMP_NEQ_UQ)));
  const __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(kLaneNumbers.of[set])));
  constexpr int kStep = kSkipStrips * static_cast<int>(kLanes);
  const __m256i offsets = _mm256_mullo_epi32(_mm256_add_epi32(order, _mm256_set1_epi32(static_cast<int>(k))),
                                             _mm256_set1_epi32(kStep));
  const __m256 kept = _mm256_permutevar8x32_ps(values, order);
  const __m256 low = _mm256_unpacklo_ps(kept, _mm256_castsi256_ps(offsets));   // entries 0 1 | 4 5
  const __m256 high = _mm256_unpackhi_ps(kept, _mm256_castsi256_ps(offsets));  // entries 2 3 | 6 7
  float* target = &out->value;
  _mm_storeu_ps(target, _mm256_castps256_ps128(low));
  _mm_storeu_ps(target + 4, _mm256_castps256_ps128(high));
  _mm_storeu_ps(target + 8, _mm256_extractf128_ps(low, 1));
  _mm_storeu_ps(target + 12, _mm256_extractf128_ps(high, 1));
  return out + __builtin_popcount(set);
}

#endif

/// Appends those of `count` values that are not zero; the first belongs to depth k. May write `count` entries
/// rounded up to kLanes.
FISHERDIAG_INLINE NonZero* append_nonzero(const float* values, std::size_t count, std::size_t k,
                                          NonZero* out) {
  std::size_t i = 0;
#if defined(__AVX512F__)
  for (; i + kLanes <= count; i += kLanes) out = append_lanes(load(values + i), k + i, out);
#elif defined(__AVX2__)
  for (; i + 8 <= count; i += 8) out = append_eight(values + i, k + i, out);
#endif
  for (; i < count; ++i) {
    *out = entry(values[i], k + i);
    out += values[i] != 0.f;
  }
  return out;
}

/// Offsets of neighbouring depths in a packed piece, the first at `from` within it.
struct DepthOffsets {
  std::size_t from;
  std::uint32_t operator[](std::size_t i) const {
    return static_cast<std::uint32_t>((from + i) * kSkipStrips * kLanes);
  }
#if defined(__AVX512F__)
  FISHERDIAG_INLINE __m512i lanes(std::size_t) const {
    return counting_lanes(from, kSkipStrips * static_cast<int>(kLanes));
  }
#endif
};

/// Offsets from a table.
struct TableOffsets {
  const std::int32_t* table;
  std::uint32_t operator[](std::size_t i) const { return static_cast<std::uint32_t>(table[i]); }
#if defined(__AVX512F__)
  FISHERDIAG_INLINE __m512i lanes(std::size_t count) const {
    return _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << count) - 1), table);
  }
#endif
};

/// Appends `count` <= kLanes rows of a strip, each with its offset, to the lists of the strip's columns.
template <class Offsets>
FISHERDIAG_INLINE void append_columns(const float* rows, std::size_t count, const Offsets& offsets,
                                      NonZero* (&out)[kLanes]) {
#if defined(__AVX512F__)
  Vec values[kLanes];
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kLanes; ++n) values[n] = n < count ? load_aligned(rows + n * kLanes) : Vec(0.f);
  transpose(values);
  const __m512i lanes = offsets.lanes(count);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kLanes; ++i) out[i] = append_lanes(values[i], lanes, out[i]);
#else
  for (std::size_t n = 0; n < count; ++n)
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float value = rows[n * kLanes + i];
      *out[i] = {value, offsets[n]};
      out[i] += value != 0.f;
    }
#endif
}

/// Packs rows [begin, end) of `Cols` strips of the right operand: row after row, kSkipStrips vectors apart.
template <int Cols>
FISHERDIAG_INLINE void pack_piece(const ConstStrips& right, std::size_t strip, std::size_t begin,
                                  std::size_t end, float* piece) {
  for (std::size_t k = begin; k < end; ++k)
#pragma GCC unroll 8
    for (int c = 0; c < Cols; ++c)
      store_aligned(piece + ((k - begin) * kSkipStrips + c) * kLanes,
                    load_aligned(right.data + (strip + c) * right.stride + k * kLanes));
}

/// sums += value * (packed row) for each entry in order.
template <int Cols>
FISHERDIAG_INLINE void add_listed(Vec (&sums)[Cols], const NonZero* entries, std::size_t count,
                                  const float* piece) {
  for (std::size_t i = 0; i < count; ++i) {
    const Vec value(entries[i].value);
    const float* row = piece + entries[i].offset;
#pragma GCC unroll 8
    for (int c = 0; c < Cols; ++c) sums[c] = multiply_add(value, load_aligned(row + c * kLanes), sums[c]);
  }
}

/// Counts elements that are not zero among those looked at.
struct ShareCounter {
  Vec nonzero = Vec(0.f);
  std::size_t seen = 0;
  FISHERDIAG_INLINE void look(const float* values) {
    nonzero = nonzero + xsimd::select(load(values) == Vec(0.f), Vec(0.f), Vec(1.f));
    seen += kLanes;
  }
  /// 1 if none was looked at.
  FISHERDIAG_INLINE double share() const {
    return seen ? static_cast<double>(horizontal_sum(nonzero)) / static_cast<double>(seen) : 1;
  }
  FISHERDIAG_INLINE bool is_sparse() const { return share() <= kSkipShare; }
};

/// Looks at every seventh row: positions of a grid that a pooling treats alike do not come up together.
FISHERDIAG_INLINE double nonzero_share(const ConstStrips& m) {
  ShareCounter counter;
  for (std::size_t column = 0; column + kLanes <= m.cols; column += kLanes)
    for (std::size_t row = 0; row < m.rows; row += 7)
      counter.look(m.data + column / kLanes * m.stride + row * kLanes);
  return counter.share();
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
