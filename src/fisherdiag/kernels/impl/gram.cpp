// Contract: kernels/gram.hpp.
#include "fisherdiag/kernels/gram.hpp"

#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

// A tile that keeps its part of F in registers beside the sample's gradient: nothing but operands is loaded,
// however few positions there are. Half of the registers each.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kSmallRows = 4, kSmallStrips = 3;
#elif defined(__AVX2__)
constexpr int kSmallRows = 2, kSmallStrips = 3;
#else
constexpr int kSmallRows = 2, kSmallStrips = 2;
#endif
static_assert(kSmallStrips <= kTileStrips);

/// From this many positions on a larger tile whose F is fetched once for each sample is faster: half of few
/// registers holds too few sums to keep the multipliers busy.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr std::size_t kManyPositions = 48;
#elif defined(__AVX2__)
constexpr std::size_t kManyPositions = 8;
#else
constexpr std::size_t kManyPositions = 4;
#endif
/// Rows of right, `kTileStrips` strips wide, that stay in the first-level cache.
constexpr std::size_t kPieceRows = 128;
/// Rows of F whose chains are open at a time: they fit the second-level cache beside the operands.
constexpr std::size_t kOpenRows = 256;

/// Samples [begin, end) of one column block.
struct Piece {
  const GramArguments& g;
  std::size_t strip, begin, end;
};

template <int Rows, int Cols>
FISHERDIAG_INLINE void start_gradient(Vec (&acc)[Rows][Cols], const float* left, const float* right,
                                      std::size_t right_stride) {
  Vec b[Cols];
#pragma GCC unroll 4
  for (int c = 0; c < Cols; ++c) b[c] = load_aligned(right + c * right_stride);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    const Vec a(left[r]);
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) acc[r][c] = a * b[c];
  }
}

/// sums (row-major, Cols * kLanes to a row) += w_n gradient_n^2 for the piece's samples; `first`: they start
/// at zero. Without weights nothing is multiplied by one: at few positions that is felt.
template <int Rows, int Cols, bool InRegisters, bool Weighted>
FISHERDIAG_INLINE void add_samples(const Piece& p, std::size_t row, bool first, float* sums) {
  const GramArguments& g = p.g;
  const std::size_t positions = g.positions;
  const float* left =
      g.left.data + row / kLanes * g.left.stride + p.begin * positions * kLanes + row % kLanes;
  const float* right = g.right.data + p.strip * g.right.stride + p.begin * positions * kLanes;
  Vec f[Rows][Cols];
  if constexpr (InRegisters) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c)
        f[r][c] = first ? Vec(0.f) : load_aligned(sums + (r * Cols + c) * kLanes);
  }
  for (std::size_t n = p.begin; n < p.end; ++n) {
    Vec acc[Rows][Cols];
    start_gradient(acc, left, right, g.right.stride);
    multiply_tile(acc, left + kLanes, right + kLanes, g.right.stride, positions - 1);
    left += positions * kLanes;
    right += positions * kLanes;
    const Vec weight(g.weights ? g.weights[n] : 1.f);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) {
        float* sum = sums + (r * Cols + c) * kLanes;
        const Vec weighted = Weighted ? acc[r][c] * weight : acc[r][c];
        if constexpr (InRegisters)
          f[r][c] = multiply_add(weighted, acc[r][c], f[r][c]);
        else
          store_aligned(sum, multiply_add(weighted, acc[r][c],
                                          first && n == p.begin ? Vec(0.f) : load_aligned(sum)));
      }
  }
  if constexpr (InRegisters) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) store_aligned(sums + (r * Cols + c) * kLanes, f[r][c]);
  }
}

/// Rows [row_begin, row_end) of one piece, tile by tile; a tile does not cross a strip of left.
template <int MostRows, int Cols, bool InRegisters, bool Weighted>
void add_piece(const Piece& p, std::size_t row_begin, std::size_t row_end, bool first, float* sums) {
  for (std::size_t row = row_begin; row < row_end; row += kLanes) {
    const EvenParts parts(smaller(row_end - row, kLanes), MostRows);
    std::size_t inner = row;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t height = parts.size(part);
      with_constant<MostRows>(height, [&](auto rows) {
        add_samples<decltype(rows)::value, Cols, InRegisters, Weighted>(
            p, inner, first, sums + (inner - row_begin) * Cols * kLanes);
      });
      inner += height;
    }
  }
}

/// Chains of samples [begin, end) of `Cols` strips, then the addition to F.
template <int MostRows, int Cols, bool InRegisters, bool Weighted>
void column_block(const GramArguments& g, std::size_t strip, std::size_t begin, std::size_t end) {
  alignas(64) float sums[kOpenRows * Cols * kLanes];
  const std::size_t first_column = strip * kLanes, all = Cols * kLanes;
  const std::size_t columns = smaller(g.right.cols - first_column, all);
  const std::size_t step = g.positions < kPieceRows ? kPieceRows / g.positions : 1;
  for (std::size_t row = g.range.row_begin; row < g.range.row_end; row += kOpenRows) {
    const std::size_t row_end = smaller(row + kOpenRows, g.range.row_end);
    for (std::size_t n = begin; n < end; n += step)
      add_piece<MostRows, Cols, InRegisters, Weighted>({g, strip, n, smaller(n + step, end)}, row, row_end,
                                                       n == begin, sums);
    for (std::size_t r = row; r < row_end; ++r) {
      double* to = g.fisher + r * g.stride + first_column;
      const float* from = sums + (r - row) * all;
      for (std::size_t i = 0; i < columns; ++i) to[i] += static_cast<double>(from[i]);
    }
  }
}

template <int MostRows, int MostStrips, bool InRegisters, bool Weighted>
void run(const GramArguments& g) {
  const std::size_t samples = g.left.rows / g.positions;
  const EvenParts parts(g.range.strip_end - g.range.strip_begin, MostStrips);
  for (std::size_t begin = 0; begin < samples; begin += kChain) {
    std::size_t strip = g.range.strip_begin;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t width = parts.size(part);
      with_constant<MostStrips>(width, [&](auto cols) {
        column_block<MostRows, decltype(cols)::value, InRegisters, Weighted>(
            g, strip, begin, smaller(begin + kChain, samples));
      });
      strip += width;
    }
  }
}

}  // namespace

void gram_squared(const GramArguments& g) noexcept {
  if (g.positions >= kManyPositions)
    run<kTileRows, kTileStrips, false, true>(g);
  else if (g.weights)
    run<kSmallRows, kSmallStrips, true, true>(g);
  else
    run<kSmallRows, kSmallStrips, true, false>(g);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
