// Contract: kernels/skip.hpp. One row of c and kSkipStrips of its strips at a time: each element of a's row
// that is not zero adds its multiple of a packed row of b.
#include "fisherdiag/kernels/impl/gemm_finish.hpp"
#include "fisherdiag/kernels/impl/nonzeros.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

Gemm gemm;

namespace {

/// Rows [row_begin, row_end) and depth [begin, end) of a; begin is a multiple of kLanes.
struct Section {
  std::size_t row_begin, row_end, begin, end;
};

/// The values of a's row r at depths k, ..., one strip's width of them.
FISHERDIAG_INLINE const float* row_values(const ConstStrips& a, std::size_t r, std::size_t k) {
  return a.data + k / kLanes * a.stride + r * kLanes;
}

bool rows_are_sparse(const ConstStrips& a, std::size_t depth) {
  ShareCounter counter;
  for (std::size_t k = 0; k + kLanes <= depth; k += kLanes)
    for (std::size_t r = 0; r < a.rows; r += 8) counter.look(row_values(a, r, k));
  return counter.is_sparse();
}

void list_rows(const ConstStrips& a, const Section& s, const NonZeroLists& lists) {
  for (std::size_t r = s.row_begin; r < s.row_end; ++r) {
    NonZero* out = lists.row(r - s.row_begin);
    std::size_t piece = 0;
    for (std::size_t begin = s.begin; begin < s.end; ++piece) {
      const std::size_t end = piece_end(begin, s.end);
      const NonZero* start = out;
      for (std::size_t k = begin; k < end; k += kLanes)
        out = append_nonzero(row_values(a, r, k), smaller(kLanes, end - k), k - begin, out);
      lists.count(r - s.row_begin, piece) = static_cast<std::uint32_t>(out - start);
      begin = end;
    }
  }
}

template <Nonlinearity F, int Cols>
void column_block(const GemmArguments& g, const Section& s, std::size_t strip, NonZeroLists lists) {
  alignas(64) float packed[kSkipPiece * kSkipStrips * kLanes];
  const NonZero* next[kSkipRows];  // each row's entries from the current piece on
  for (std::size_t r = s.row_begin; r < s.row_end; ++r) next[r - s.row_begin] = lists.row(r - s.row_begin);
  std::size_t piece = 0;
  for (std::size_t begin = s.begin; begin < s.end; ++piece) {
    const std::size_t end = piece_end(begin, s.end);
    pack_piece<Cols>(g.b, strip, begin, end, packed);
    for (std::size_t r = s.row_begin; r < s.row_end; ++r) {
      const std::size_t own = r - s.row_begin, count = lists.count(own, piece);
      Tile<1, Cols> acc;
      start_chain(g, {r, strip}, begin == 0, acc);
      add_listed(acc.v[0], next[own], count, packed);
      end_chain<F>(g, {r, strip}, end == g.b.rows, acc);
      next[own] += count;
    }
    begin = end;
  }
}

template <Nonlinearity F>
void run(const GemmArguments& g, const SkipScratch& scratch, std::size_t last_strip) {
  static_assert(kSkipDepth % kLanes == 0);
  const EvenParts parts(last_strip - g.first_strip, kSkipStrips);
  for (std::size_t row = 0; row < g.a.rows; row += kSkipRows)
    for (std::size_t begin = 0; begin < g.b.rows; begin += kSkipDepth) {
      const Section section{row, smaller(row + kSkipRows, g.a.rows), begin,
                            smaller(begin + kSkipDepth, g.b.rows)};
      const NonZeroLists lists{scratch, (section.end - begin + kSkipPiece - 1) / kSkipPiece};
      list_rows(g.a, section, lists);
      std::size_t strip = g.first_strip;
      for (std::size_t part = 0; part < parts.parts; ++part) {
        with_constant<kSkipStrips>(parts.size(part), [&](auto cols) {
          column_block<F, decltype(cols)::value>(g, section, strip, lists);
        });
        strip += parts.size(part);
      }
    }
}

}  // namespace

void gemm_skip(const GemmArguments& g, const SkipScratch& scratch) noexcept {
  const std::size_t last_strip = g.last_strip ? g.last_strip : (g.c.cols + kLanes - 1) / kLanes;
  if (!scratch.entries || last_strip - g.first_strip < kSkipLeastStrips || !rows_are_sparse(g.a, g.b.rows))
    return gemm(g);
  with_nonlinearity(g.nonlinearity, [&](auto f) { run<decltype(f)::value>(g, scratch, last_strip); });
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
