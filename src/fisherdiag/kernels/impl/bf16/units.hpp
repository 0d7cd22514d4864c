// The two units that multiply blocks: tiles of AMX-BF16 and dot products of AVX512_BF16.
#pragma once

#include "fisherdiag/kernels/impl/bf16/blocks.hpp"

namespace fisherdiag::kernels::bf16 {

/// Floats of c in a row of a 32 x 32 block.
inline constexpr std::size_t kRow = kBf16Block;

/// c(r, j) (+)= sum_k left(r, k) right(j, k) over `count` blocks of depth; c is a row-major 32 x 32 block.
/// `on_block(k)` is called before each block of depth, to ask for what is needed later.
struct TileUnit {
  /// Tile registers are configured while a scope lives.
  class Scope {
   public:
    Scope() {
      struct alignas(64) {
        std::uint8_t palette = 1, start_row = 0;
        std::uint8_t reserved[14] = {};
        std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
      } config;
      // g++ 12's intrinsics do not tell the compiler what memory they read.
      asm volatile("" ::"r"(&config) : "memory");
      _tile_loadconfig(&config);
    }
    ~Scope() { _tile_release(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  template <class OnBlock>
  static FISHERDIAG_INLINE void multiply(const Bf16* left, const Bf16* right, std::size_t count, bool first,
                                         float* c, const OnBlock& on_block) {
    constexpr int kStride = kRow * sizeof(float), kLine = 64;
    float* lower = c + kHalf * kRow;
    asm volatile("" ::: "memory");
    if (first) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    } else {
      _tile_loadd(0, c, kStride);
      _tile_loadd(1, c + kHalf, kStride);
      _tile_loadd(2, lower, kStride);
      _tile_loadd(3, lower + kHalf, kStride);
    }
    for (std::size_t k = 0; k < count; ++k, left += kBf16BlockElements, right += kBf16BlockElements) {
      on_block(k);
      _tile_loadd(4, left, kLine);
      _tile_loadd(6, right, kLine);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, right + kTileElements, kLine);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, left + kTileElements, kLine);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, kStride);
    _tile_stored(1, c + kHalf, kStride);
    _tile_stored(2, lower, kStride);
    _tile_stored(3, lower + kHalf, kStride);
  }
};

struct DotUnit {
  class Scope {
   public:
    Scope() {}
    ~Scope() {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  template <class OnBlock>
  static FISHERDIAG_INLINE void multiply(const Bf16* left, const Bf16* right, std::size_t count, bool first,
                                         float* c, const OnBlock& on_block) {
    for (std::size_t k = 0; k < count; ++k) on_block(k);
    for (std::size_t row = 0; row < kBf16Block; row += kRows)
      multiply_rows(left + row * kBf16Block, right, count, first, c + row * kRow);
  }

 private:
  // 12 rows of 2 vectors would leave 8 of 32 rows over; 8 rows of 2 cover a latency of 6 at 1 per cycle
  // twice.
  static constexpr std::size_t kRows = 8;

  static void multiply_rows(const Bf16* left, const Bf16* right, std::size_t count, bool first, float* c) {
    __m512 sum[kRows][2];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (std::size_t j = 0; j < 2; ++j)
        sum[r][j] = first ? _mm512_setzero_ps() : _mm512_load_ps(c + r * kRow + j * kHalf);
    for (std::size_t k = 0; k < count; ++k, left += kBf16BlockElements, right += kBf16BlockElements)
      for (std::size_t pair = 0; pair < kHalf; ++pair) {
        const __m512bh right0 = (__m512bh)load_block(right + pair * kBf16Block);
        const __m512bh right1 = (__m512bh)load_block(right + kTileElements + pair * kBf16Block);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < kRows; ++r) {
          int both;
          __builtin_memcpy(&both, left + r * kBf16Block + 2 * pair, sizeof both);
          const __m512bh a = (__m512bh)_mm512_set1_epi32(both);
          sum[r][0] = _mm512_dpbf16_ps(sum[r][0], a, right0);
          sum[r][1] = _mm512_dpbf16_ps(sum[r][1], a, right1);
        }
      }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (std::size_t j = 0; j < 2; ++j) _mm512_store_ps(c + r * kRow + j * kHalf, sum[r][j]);
  }
};

// What is in caches while a product runs: a piece of one block row of the right operand, kDepthBlocks deep,
// in the first level (32 KiB); the same depth of kLeftBlocks of the left, and the sums of kLeftBlocks x
// kRightBlocks, in the second.
inline constexpr std::size_t kDepthBlocks = 8;
inline constexpr std::size_t kLeftBlocks = 8;
inline constexpr std::size_t kRightBlocks = 16;
static_assert(kLeftBlocks * kRightBlocks * kBf16BlockElements == kBf16ScratchFloats);

/// Both operands of a product: block rows [begin, end) of each and their common depth in blocks.
struct Operands {
  struct Side {
    const Bf16* data;
    std::size_t stride, begin, end;
    FISHERDIAG_INLINE const Bf16* block(std::size_t v, std::size_t k) const {
      return data + v * stride + k * kBf16BlockElements;
    }
  };
  Side left, right;
  std::size_t depth;
  float* scratch;
};

/// Asks for rows [begin, end) of a block that will be written, each one line of 64 bytes.
FISHERDIAG_INLINE void ask_block(Bf16* block, std::size_t begin, std::size_t end) {
  for (std::size_t row = begin; row < end; ++row) __builtin_prefetch(block + row * kBf16Block, 1);
}

FISHERDIAG_INLINE std::size_t smaller(std::size_t a, std::size_t b) {
  return a < b ? a : b;
}

/// One range of both operands. While a block of c is summed for the last time, finish.ask(l, r, begin, end)
/// may ask for what rows [begin, end) of it will write: all at once that would hold up the loads of the
/// product. Then finish(l, r, c).
template <class Unit, class Finish>
void multiply_range(const Operands& o, const Finish& finish) {
  const std::size_t parts = (o.depth + kDepthBlocks - 1) / kDepthBlocks;
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t begin = o.depth * part / parts, count = o.depth * (part + 1) / parts - begin;
    const bool last = part + 1 == parts;
    for (std::size_t r = o.right.begin; r < o.right.end; ++r)
      for (std::size_t l = o.left.begin; l < o.left.end; ++l) {
        // Without parts one block is used again and again and never leaves the first-level cache.
        const std::size_t slot = parts > 1 ? (r - o.right.begin) * kLeftBlocks + l - o.left.begin : 0;
        float* c = o.scratch + slot * kBf16BlockElements;
        if (!last) {
          Unit::multiply(o.left.block(l, begin), o.right.block(r, begin), count, part == 0, c,
                         [](std::size_t) {});
          continue;
        }
        Unit::multiply(
            o.left.block(l, begin), o.right.block(r, begin), count, part == 0, c,
            [&](std::size_t k) { finish.ask(l, r, kBf16Block * k / count, kBf16Block * (k + 1) / count); });
        finish(l, r, c);
      }
  }
}

template <class Unit, class Finish>
void multiply(const Operands& o, const Finish& finish) {
  const typename Unit::Scope scope;
  for (std::size_t r = o.right.begin; r < o.right.end; r += kRightBlocks)
    for (std::size_t l = o.left.begin; l < o.left.end; l += kLeftBlocks) {
      Operands range = o;
      range.left.begin = l;
      range.left.end = smaller(l + kLeftBlocks, o.left.end);
      range.right.begin = r;
      range.right.end = smaller(r + kRightBlocks, o.right.end);
      multiply_range<Unit>(range, finish);
    }
}

}  // namespace fisherdiag::kernels::bf16
