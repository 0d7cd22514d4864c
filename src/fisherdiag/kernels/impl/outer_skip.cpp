// Contracts: kernels/skip.hpp. One row of the target and kSkipStrips of its strips at a time: each element of
// left's column that is not zero adds its multiple of a packed row of right.
#include "fisherdiag/kernels/impl/nonzeros.hpp"
#include "fisherdiag/kernels/impl/outer_finish.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

SquaredOuter squared_outer;
Outer outer;
AddOuter add_outer;

namespace {

/// Columns [begin, end) of left are rows of the target; begin is a multiple of kLanes. Looks at whole strips.
bool columns_are_sparse(const ConstStrips& left, std::size_t begin, std::size_t end) {
  ShareCounter counter;
  for (std::size_t column = begin; column + kLanes <= end; column += kLanes)
    for (std::size_t n = 0; n < left.rows; n += 8)
      counter.look(left.data + column / kLanes * left.stride + n * kLanes);
  return counter.is_sparse();
}

/// Lists a whole strip of left's columns at once: its rows lie one after the other. Columns past the matrix
/// get lists nobody reads.
void list_strip(const float* strip, std::size_t depth, std::size_t first_row, const NonZeroLists& lists) {
  NonZero* out[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) out[i] = lists.row(first_row + i);
  std::size_t piece = 0;
  for (std::size_t begin = 0; begin < depth; ++piece) {
    const std::size_t end = piece_end(begin, depth);
    NonZero* start[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) start[i] = out[i];
    for (std::size_t k = begin; k < end; k += kLanes)
      append_columns(strip + k * kLanes, smaller(kLanes, end - k), DepthOffsets{k - begin}, out);
    for (std::size_t i = 0; i < kLanes; ++i)
      lists.count(first_row + i, piece) = static_cast<std::uint32_t>(out[i] - start[i]);
    begin = end;
  }
}

/// Rows [row_begin, row_end) of the target, at most kSkipRows, and `Cols` strips from `strip` on.
/// start(row, sums) sets where a row's chain begins, end(row, sums) takes what it came to.
template <int Cols, class Start, class End>
FISHERDIAG_INLINE void column_block(const ConstStrips& right, std::size_t strip, std::size_t rows,
                                    NonZeroLists lists, const Start& start, const End& end) {
  alignas(64) float packed[kSkipPiece * kSkipStrips * kLanes];
  alignas(64) float chains[kSkipRows * Cols * kLanes];
  const NonZero* next[kSkipRows];  // each row's entries from the current piece on
  std::size_t piece = 0;
  for (std::size_t begin = 0; begin < right.rows; ++piece) {
    const std::size_t stop = piece_end(begin, right.rows);
    pack_piece<Cols>(right, strip, begin, stop, packed);
    for (std::size_t r = 0; r < rows; ++r) {
      Vec sums[Cols];
      float* chain = chains + r * Cols * kLanes;
      if (begin == 0) {
        next[r] = lists.row(r);
        start(r, sums);
      } else {
#pragma GCC unroll 8
        for (int c = 0; c < Cols; ++c) sums[c] = load_aligned(chain + c * kLanes);
      }
      const std::size_t count = lists.count(r, piece);
      add_listed(sums, next[r], count, packed);
      next[r] += count;
#pragma GCC unroll 8
      for (int c = 0; c < Cols; ++c) store_aligned(chain + c * kLanes, sums[c]);
      if (stop == right.rows) end(r, chain);
    }
    begin = stop;
  }
}

/// Calls body(Constant<strips>, first strip, first row, rows, lists) for all of a range.
template <class Body>
FISHERDIAG_INLINE void for_blocks(const ConstStrips& left, const OuterRange& range,
                                  const SkipScratch& scratch, const Body& body) {
  const NonZeroLists lists{scratch, (left.rows + kSkipPiece - 1) / kSkipPiece};
  const EvenParts parts(range.strip_end - range.strip_begin, kSkipStrips);
  for (std::size_t row = range.row_begin; row < range.row_end; row += kSkipRows) {
    const std::size_t rows = smaller(kSkipRows, range.row_end - row);
    for (std::size_t r = 0; r < rows; r += kLanes)
      list_strip(left.data + (row + r) / kLanes * left.stride, left.rows, r, lists);
    std::size_t strip = range.strip_begin;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      with_constant<kSkipStrips>(parts.size(part), [&](auto cols) { body(cols, strip, row, rows, lists); });
      strip += parts.size(part);
    }
  }
}

template <class Finish>
void run(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, const Finish& finish,
         typename Finish::Target* target, std::size_t stride, const SkipScratch& scratch) {
  for_blocks(left, range, scratch,
             [&](auto cols, std::size_t strip, std::size_t row, std::size_t rows, const NonZeroLists& lists) {
               constexpr int kCols = decltype(cols)::value;
               const std::size_t first = strip * kLanes, all = kCols * kLanes;
               const std::size_t columns = smaller(all, right.cols - first);
               column_block<kCols>(
                   right, strip, rows, lists,
                   [](std::size_t, Vec(&sums)[kCols]) {
                     for (Vec& sum : sums) sum = Vec(0.f);
                   },
                   [&](std::size_t r, const float* chain) {
                     finish(chain, target + (row + r) * stride + first, columns == all ? all : columns);
                   });
             });
}

bool pays(const ConstStrips& left, const OuterRange& range, const SkipScratch& scratch) {
  return scratch.entries && left.rows <= kSkipDepth &&
         range.strip_end - range.strip_begin >= kSkipLeastStrips &&
         columns_are_sparse(left, range.row_begin, range.row_end);
}

}  // namespace

void squared_outer_skip(const ConstStrips& left, const ConstStrips& right, const OuterRange& range,
                        double* fisher, std::size_t stride, const SkipScratch& scratch) noexcept {
  if (!pays(left, range, scratch)) return squared_outer(left, right, range, fisher, stride);
  run(left, right, range, AddToDouble{}, fisher, stride, scratch);
}

void outer_skip(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, float scale,
                float* target, std::size_t stride, const SkipScratch& scratch,
                const Alongside& alongside) noexcept {
  if (!pays(left, range, scratch)) return outer(left, right, range, scale, target, stride, alongside);
  run(left, right, range, StoreScaled{scale}, target, stride, scratch);
}

void add_outer_skip(const ConstStrips& left, const ConstStrips& right, bool first, float* target,
                    std::size_t stride, const SkipScratch& scratch) noexcept {
  const OuterRange range{0, left.cols, 0, (right.cols + kLanes - 1) / kLanes};
  if (!pays(left, range, scratch)) return add_outer(left, right, first, target, stride);
  for_blocks(left, range, scratch,
             [&](auto cols, std::size_t strip, std::size_t row, std::size_t rows, const NonZeroLists& lists) {
               constexpr int kCols = decltype(cols)::value;
               const auto place = [&](std::size_t r) { return target + (row + r) * stride + strip * kLanes; };
               column_block<kCols>(
                   right, strip, rows, lists,
                   [&](std::size_t r, Vec(&sums)[kCols]) {
                     for (int c = 0; c < kCols; ++c)
                       sums[c] = first ? Vec(0.f) : load_aligned(place(r) + c * kLanes);
                   },
                   [&](std::size_t r, const float* chain) {
                     for (int c = 0; c < kCols; ++c)
                       store_aligned(place(r) + c * kLanes, load_aligned(chain + c * kLanes));
                   });
             });
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
