// Contracts: kernels/outer.hpp.
#include "fisherdiag/kernels/impl/outer_finish.hpp"
#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// Asks for part of one row of a target ahead of its use, and of the arrays alongside it.
template <class T>
struct Prefetch {
  const T* target = nullptr;  // nullptr: nothing to ask for
  std::size_t stride = 0, columns = 0;
  const Alongside* alongside = nullptr;  // nullptr: none
  std::size_t first = 0;                 // place of the first row's part within these arrays
  FISHERDIAG_INLINE void row(int r) const {
    for (std::size_t i = 0; i < columns; i += 64 / sizeof(T)) __builtin_prefetch(target + r * stride + i, 1);
    if (!alongside) return;
    for (std::size_t a = 0; a < alongside->count; ++a)
      for (std::size_t i = 0; i < columns; i += 64 / sizeof(float))
        __builtin_prefetch(alongside->arrays[a] + first + r * alongside->stride + i, 0, 2);
  }
};

/// Adds n products to the chains of one tile, which are kept between depth blocks: row-major, Cols * kLanes
/// to a row. The next tile's target rows are asked for one by one on the way: all at once they would hold up
/// the products' loads, and this tile's own would arrive too late.
template <int Rows, int Cols, class T>
FISHERDIAG_INLINE void add_products(const float* left, const float* right, std::size_t right_stride,
                                    std::size_t n, bool first, float* chains, const Prefetch<T>& prefetch) {
  Vec acc[Rows][Cols];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c)
      acc[r][c] = first ? Vec(0.f) : load_aligned(chains + (r * Cols + c) * kLanes);
  const std::size_t part = prefetch.target ? n / Rows : n;
  std::size_t k = 0;
  for (int turn = 0; k < n; ++turn) {
    if (prefetch.target && turn < Rows) prefetch.row(turn);
    const std::size_t end = turn + 1 < Rows && part ? k + part : n;
    multiply_tile(acc, left + k * kLanes, right + k * kLanes, right_stride, end - k);
    k = end;
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) store_aligned(chains + (r * Cols + c) * kLanes, acc[r][c]);
}

/// Rows whose chains are open at a time: their tiles fit the second-level cache beside the operands.
constexpr std::size_t kOpenRows = 256;

/// What column_block works on: `Cols` strips of right from `strip` on.
struct Block {
  const ConstStrips& left;
  const ConstStrips& right;
  std::size_t strip, row_begin, row_end;
  const Alongside* alongside = nullptr;
};

/// Calls f(Constant<rows>, first row) for every register tile of the block's rows.
template <class F>
FISHERDIAG_INLINE void for_tiles(const Block& b, const F& f) {
  for (std::size_t row = b.row_begin; row < b.row_end; row += kLanes) {
    const EvenParts parts(b.row_end - row < kLanes ? b.row_end - row : kLanes, kTileRows);
    std::size_t inner = row;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t height = parts.size(part);
      with_constant<kTileRows>(height, [&](auto rows) { f(rows, inner); });
      inner += height;
    }
  }
}

/// One column block: each piece of right stays near while all tiles add it to their chains. Left and right
/// are read in the order they lie, which the hardware's prefetchers follow; asking for them ahead as well
/// cost 1%.
template <int Cols, class Finish>
void column_block(const Block& b, const Finish& finish, typename Finish::Target* target, std::size_t stride) {
  alignas(64) float chains[kOpenRows * Cols * kLanes];
  const std::size_t n = b.left.rows, first_column = b.strip * kLanes;
  const std::size_t all = Cols * kLanes, rest = b.right.cols - first_column;
  const std::size_t columns = rest < all ? rest : all;
  const auto chain_of = [&](std::size_t row) { return chains + (row - b.row_begin) * all; };
  const EvenParts pieces(n, kOuterDepth);
  for (std::size_t piece = 0; piece < pieces.parts; ++piece) {
    const std::size_t depth = pieces.begin(piece), count = pieces.size(piece);
    const float* right = b.right.data + b.strip * b.right.stride + depth * kLanes;
    const bool last = depth + count == n;
    const auto ask_from = [&](std::size_t row) {
      return Prefetch<typename Finish::Target>{target + row * stride + first_column, stride, columns,
                                               b.alongside,
                                               b.alongside ? row * b.alongside->stride + first_column : 0};
    };
    if (last)
      for (int r = 0; r < kTileRows && b.row_begin + r < b.row_end; ++r) ask_from(b.row_begin).row(r);
    for_tiles(b, [&](auto rows, std::size_t row) {
      constexpr int kRows = decltype(rows)::value;
      typename Finish::Target* to = target + row * stride + first_column;
      const bool has_next = last && row + kRows < b.row_end;
      const Prefetch<typename Finish::Target> next =
          has_next ? ask_from(row + kRows) : Prefetch<typename Finish::Target>{};
      const float* left = b.left.data + row / kLanes * b.left.stride + depth * kLanes + row % kLanes;
      add_products<kRows, Cols>(left, right, b.right.stride, count, depth == 0, chain_of(row), next);
      if (!last) return;
      for (int r = 0; r < kRows; ++r) {
        if (columns == all)
          finish(chain_of(row) + r * all, to + r * stride, Cols * kLanes);  // a constant count: unrolled
        else
          finish(chain_of(row) + r * all, to + r * stride, columns);
      }
    });
  }
}

template <class Finish>
void run(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, const Finish& finish,
         typename Finish::Target* target, std::size_t stride, const Alongside* alongside = nullptr) {
  const EvenParts parts(range.strip_end - range.strip_begin, kTileStrips);
  std::size_t strip = range.strip_begin;
  for (std::size_t part = 0; part < parts.parts; ++part) {
    const std::size_t width = parts.size(part);
    with_constant<kTileStrips>(width, [&](auto cols) {
      for (std::size_t row = range.row_begin; row < range.row_end; row += kOpenRows) {
        const std::size_t end = range.row_end - row < kOpenRows ? range.row_end : row + kOpenRows;
        column_block<decltype(cols)::value>({left, right, strip, row, end, alongside}, finish, target,
                                            stride);
      }
    });
    strip += width;
  }
}

/// One register tile of add_outer: the target's own floats are the chains.
template <int Rows, int Cols>
FISHERDIAG_INLINE void add_to_target(const float* left, const ConstStrips& right, std::size_t strip,
                                     std::size_t depth, std::size_t n, bool first, float* target,
                                     std::size_t stride) {
  const float* b = right.data + strip * right.stride + depth * kLanes;
  Vec acc[Rows][Cols];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c)
      acc[r][c] = first ? Vec(0.f) : load_aligned(target + r * stride + c * kLanes);
  multiply_tile(acc, left, b, right.stride, n);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) store_aligned(target + r * stride + c * kLanes, acc[r][c]);
}

}  // namespace

void add_outer(const ConstStrips& left, const ConstStrips& right, bool first, float* target,
               std::size_t stride) noexcept {
  const EvenParts parts((right.cols + kLanes - 1) / kLanes, kTileStrips);
  std::size_t strip = 0;
  for (std::size_t part = 0; part < parts.parts; ++part) {
    const std::size_t width = parts.size(part);
    with_constant<kTileStrips>(width, [&](auto cols) {
      const EvenParts pieces(left.rows, kOuterDepth);
      for (std::size_t piece = 0; piece < pieces.parts; ++piece) {
        const std::size_t depth = pieces.begin(piece), n = pieces.size(piece);
        for_tiles({left, right, strip, 0, left.cols}, [&](auto rows, std::size_t row) {
          add_to_target<decltype(rows)::value, decltype(cols)::value>(
              left.data + row / kLanes * left.stride + depth * kLanes + row % kLanes, right, strip, depth, n,
              first && depth == 0, target + row * stride + strip * kLanes, stride);
        });
      }
    });
    strip += width;
  }
}

void squared_outer(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, double* fisher,
                   std::size_t stride) noexcept {
  run(left, right, range, AddToDouble{}, fisher, stride);
}

void outer(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, float scale,
           float* target, std::size_t stride, const Alongside& alongside) noexcept {
  run(left, right, range, StoreScaled{scale}, target, stride, alongside.count ? &alongside : nullptr);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
