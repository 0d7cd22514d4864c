// Contract: kernels/gram.hpp.
#include "fisherdiag/kernels/gram.hpp"
#include "fisherdiag/kernels/impl/gram_tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// Samples [begin, end) of one column block.
struct Piece {
  const GramSquaresArguments& g;
  std::size_t strip, begin, end;
};

/// squares = the sum over seeds of sample n's squared gradients.
template <int Rows, int Cols>
FISHERDIAG_INLINE void square_sample(const Piece& p, std::size_t row, std::size_t n,
                                     Vec (&squares)[Rows][Cols]) {
  const GramSquaresArguments& g = p.g;
  for (std::size_t k = 0; k < g.seeds; ++k) {
    const ConstStrips &left = g.lefts[k], &right = g.rights[k];
    const std::size_t first = n * g.positions * kLanes;
    Vec acc[Rows][Cols];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) acc[r][c] = Vec(0.f);
    multiply_tile(acc, left.data + row / kLanes * left.stride + first + row % kLanes,
                  right.data + p.strip * right.stride + first, right.stride, g.positions);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c)
        squares[r][c] = multiply_add(acc[r][c], acc[r][c], k == 0 ? Vec(0.f) : squares[r][c]);
  }
}

/// sums (row-major, Cols * kLanes to a row) += the squares of the piece's samples' squares; `first`: they
/// start at zero.
template <int Rows, int Cols>
FISHERDIAG_INLINE void add_samples(const Piece& p, std::size_t row, bool first, float* sums) {
  const Vec scale(kSquareScale);
  for (std::size_t n = p.begin; n < p.end; ++n) {
    Vec squares[Rows][Cols];
    square_sample(p, row, n, squares);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) {
        float* sum = sums + (r * Cols + c) * kLanes;
        const Vec scaled = scale * squares[r][c];
        store_aligned(sum,
                      multiply_add(scaled, scaled, first && n == p.begin ? Vec(0.f) : load_aligned(sum)));
      }
  }
}

/// Rows [row_begin, row_end) of one piece, tile by tile; a tile does not cross a strip of left.
template <int Cols>
void add_piece(const Piece& p, std::size_t row_begin, std::size_t row_end, bool first, float* sums) {
  for (std::size_t row = row_begin; row < row_end; row += kLanes) {
    const EvenParts parts(smaller(row_end - row, kLanes), kSmallRows);
    std::size_t inner = row;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t height = parts.size(part);
      with_constant<kSmallRows>(height, [&](auto rows) {
        add_samples<decltype(rows)::value, Cols>(p, inner, first, sums + (inner - row_begin) * Cols * kLanes);
      });
      inner += height;
    }
  }
}

/// Chains of samples [begin, end) of `Cols` strips, then the addition to the doubles.
template <int Cols>
void column_block(const GramSquaresArguments& g, std::size_t strip, std::size_t begin, std::size_t end) {
  alignas(64) float sums[kOpenRows * Cols * kLanes];
  const std::size_t first_column = strip * kLanes, all = Cols * kLanes;
  const std::size_t columns = smaller(g.rights[0].cols - first_column, all);
  const std::size_t step = g.positions < kPieceRows ? kPieceRows / g.positions : 1;
  for (std::size_t row = g.range.row_begin; row < g.range.row_end; row += kOpenRows) {
    const std::size_t row_end = smaller(row + kOpenRows, g.range.row_end);
    for (std::size_t n = begin; n < end; n += step)
      add_piece<Cols>({g, strip, n, smaller(n + step, end)}, row, row_end, n == begin, sums);
    for (std::size_t r = row; r < row_end; ++r) {
      double* to = g.squares + r * g.stride + first_column;
      const float* from = sums + (r - row) * all;
      for (std::size_t i = 0; i < columns; ++i) to[i] += static_cast<double>(from[i]);
    }
  }
}

}  // namespace

void gram_squares(const GramSquaresArguments& g) noexcept {
  const std::size_t samples = g.lefts[0].rows / g.positions;
  const EvenParts parts(g.range.strip_end - g.range.strip_begin, kSmallStrips);
  for (std::size_t begin = 0; begin < samples; begin += kChain) {
    std::size_t strip = g.range.strip_begin;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t width = parts.size(part);
      with_constant<kSmallStrips>(width, [&](auto cols) {
        column_block<decltype(cols)::value>(g, strip, begin, smaller(begin + kChain, samples));
      });
      strip += width;
    }
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
