// Contracts: kernels/gram.hpp, kernels/window.hpp.
#include "fisherdiag/kernels/gram.hpp"

#include <type_traits>

#include "fisherdiag/kernels/impl/gram_tiles.hpp"
#include "fisherdiag/kernels/impl/outer_finish.hpp"
#include "fisherdiag/kernels/window.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// The small tile keeps its part of F in registers, so that nothing but operands is loaded, however few
/// positions there are. From this many on a larger tile whose F is fetched once for each sample is faster:
/// half of few registers holds too few sums to keep the multipliers busy.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr std::size_t kManyPositions = 48;
#elif defined(__AVX2__)
constexpr std::size_t kManyPositions = 8;
#else
constexpr std::size_t kManyPositions = 4;
#endif

/// Says that `v` is in a register from here on: g++ 12 puts operands of inner loops on the stack, and loads
/// them at every use, while registers are free.
FISHERDIAG_INLINE void keep_in_register([[maybe_unused]] Vec& v) {
#if defined(__GNUC__) && defined(__AVX512F__)
  __m512 own = v;
  __asm__("" : "+v"(own));
  v = own;
#endif
}

/// Strips from one on, of rows in strips.
template <int Cols>
struct StripsAt {
  const float* data;
  std::size_t stride;
  FISHERDIAG_INLINE void next(std::size_t positions) { data += positions * kLanes; }
  FISHERDIAG_INLINE Vec load(std::size_t t, int c) const {
    return load_aligned(data + static_cast<std::size_t>(c) * stride + t * kLanes);
  }
};

/// The same of patches in a padded grid.
template <int Cols>
struct PatchesAt {
  const float* sample;
  std::size_t sample_floats;
  const std::int32_t* bases;
  std::int32_t offsets[Cols];
  FISHERDIAG_INLINE void next(std::size_t) { sample += sample_floats; }
  FISHERDIAG_INLINE Vec load(std::size_t t, int c) const {
    return FISHERDIAG_KERNEL_NAMESPACE::load(sample + bases[t] + offsets[c]);
  }
};

/// What the kernels have on the right: where strips are, and what they are of F.
struct StripsRight {
  ConstStrips m;
  template <int Cols>
  FISHERDIAG_INLINE StripsAt<Cols> at(std::size_t strip, std::size_t sample, std::size_t positions) const {
    return {m.data + strip * m.stride + sample * positions * kLanes, m.stride};
  }
  std::size_t column(std::size_t strip) const { return strip * kLanes; }
  std::size_t count(std::size_t strip) const { return smaller(m.cols - strip * kLanes, kLanes); }
};

struct PatchesRight {
  GridRows rows;
  const GridStrip* strips;
  template <int Cols>
  FISHERDIAG_INLINE PatchesAt<Cols> at(std::size_t strip, std::size_t sample, std::size_t) const {
    PatchesAt<Cols> result{rows.grid + sample * rows.sample_floats, rows.sample_floats, rows.bases, {}};
    for (int c = 0; c < Cols; ++c) result.offsets[c] = strips[strip + static_cast<std::size_t>(c)].offset;
    return result;
  }
  std::size_t column(std::size_t strip) const { return static_cast<std::size_t>(strips[strip].column); }
  std::size_t count(std::size_t strip) const { return static_cast<std::size_t>(strips[strip].count); }
};

template <class Right>
struct Gram {
  ConstStrips left;
  Right right;
  std::size_t positions;
  const float* weights;
  OuterRange range;
  double* fisher;
  std::size_t stride;
  double* traces;  // of each sample; nullptr: not wanted
};

/// Samples [begin, end) of one column block.
template <class Right>
struct Piece {
  const Gram<Right>& g;
  std::size_t strip, begin, end;
};

/// acc = left^T right over the positions of a sample.
template <int Rows, int Cols>
FISHERDIAG_INLINE void sum_positions(Vec (&acc)[Rows][Cols], const float* left, const StripsAt<Cols>& right,
                                     std::size_t positions) {
  Vec b[Cols];
#pragma GCC unroll 4
  for (int c = 0; c < Cols; ++c) b[c] = right.load(0, c);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    const Vec a(left[r]);
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) acc[r][c] = a * b[c];
  }
  multiply_tile(acc, left + kLanes, right.data + kLanes, right.stride, positions - 1);
}

/// The same; at the few positions of a grid a product more is not felt.
template <int Rows, int Cols>
FISHERDIAG_INLINE void sum_positions(Vec (&acc)[Rows][Cols], const float* left, const PatchesAt<Cols>& right,
                                     std::size_t positions) {
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) acc[r][c] = Vec(0.f);
  for (std::size_t t = 0; t < positions; ++t, left += kLanes) {
    Vec b[Cols];
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) {
      b[c] = right.load(t, c);
      keep_in_register(b[c]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec a(left[r]);
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) acc[r][c] = multiply_add(a, b[c], acc[r][c]);
    }
  }
}

/// What is done with squares besides adding them. Without weights nothing is multiplied by one: at few
/// positions that is felt.
enum class Squares { Plain, Weighted, Traced };

/// sums (row-major, Cols * kLanes to a row) += w_n gradient_n^2 for the piece's samples; `first`: they start
/// at zero. Traced: traces (Cols * kLanes for each sample) += the sums of their squares over the rows.
template <int Rows, int Cols, bool InRegisters, Squares Kind, class Right>
FISHERDIAG_INLINE void add_samples(const Piece<Right>& p, std::size_t row, bool first, float* sums,
                                   float* traces) {
  const Gram<Right>& g = p.g;
  const std::size_t positions = g.positions;
  const float* left =
      g.left.data + row / kLanes * g.left.stride + p.begin * positions * kLanes + row % kLanes;
  auto right = g.right.template at<Cols>(p.strip, p.begin, positions);
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
    sum_positions(acc, left, right, positions);
    left += positions * kLanes;
    right.next(positions);
    const Vec weight(g.weights ? g.weights[n] : 1.f);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) {
        float* sum = sums + (r * Cols + c) * kLanes;
        const Vec weighted = Kind == Squares::Weighted ? acc[r][c] * weight : acc[r][c];
        if constexpr (InRegisters)
          f[r][c] = multiply_add(weighted, acc[r][c], f[r][c]);
        else
          store_aligned(
              sum, multiply_add(weighted, acc[r][c], first && n == p.begin ? Vec(0.f) : load_aligned(sum)));
      }
    if constexpr (Kind == Squares::Traced) {
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) {
        Vec trace = load_aligned(traces + c * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) trace = multiply_add(acc[r][c], acc[r][c], trace);
        store_aligned(traces + c * kLanes, trace);
      }
      traces += Cols * kLanes;
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
template <int MostRows, int Cols, bool InRegisters, Squares Kind, class Right>
void add_piece(const Piece<Right>& p, std::size_t row_begin, std::size_t row_end, bool first, float* sums,
               float* traces) {
  for (std::size_t row = row_begin; row < row_end; row += kLanes) {
    const EvenParts parts(smaller(row_end - row, kLanes), MostRows);
    std::size_t inner = row;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t height = parts.size(part);
      with_constant<MostRows>(height, [&](auto rows) {
        add_samples<decltype(rows)::value, Cols, InRegisters, Kind>(
            p, inner, first, sums + (inner - row_begin) * Cols * kLanes, traces);
      });
      inner += height;
    }
  }
}

/// Adds what add_piece left of the piece's traces; columns past the matrix's are not part of them.
template <int Cols, class Right>
void add_traces(const Piece<Right>& p, const float* traces) {
  for (std::size_t n = p.begin; n < p.end; ++n) {
    double sum = 0;
    for (std::size_t c = 0; c < Cols; ++c, traces += kLanes)
      for (std::size_t i = 0; i < p.g.right.count(p.strip + c); ++i) sum += static_cast<double>(traces[i]);
    p.g.traces[n] += sum;
  }
}

/// Chains of samples [begin, end) of `Cols` strips, then the addition to F.
template <int MostRows, int Cols, bool InRegisters, Squares Kind, class Right>
void column_block(const Gram<Right>& g, std::size_t strip, std::size_t begin, std::size_t end) {
  constexpr AddToDouble add_to;
  alignas(64) float sums[kOpenRows * Cols * kLanes];
  constexpr std::size_t kRows = InRegisters ? kSmallPieceRows : kPieceRows;
  alignas(64) float traces[(Kind == Squares::Traced ? kRows : 1) * Cols * kLanes];
  const std::size_t step = g.positions < kRows ? kRows / g.positions : 1;
  for (std::size_t row = g.range.row_begin; row < g.range.row_end; row += kOpenRows) {
    const std::size_t row_end = smaller(row + kOpenRows, g.range.row_end);
    for (std::size_t n = begin; n < end; n += step) {
      const Piece<Right> piece{g, strip, n, smaller(n + step, end)};
      if constexpr (Kind == Squares::Traced)
        for (std::size_t i = 0; i < (piece.end - n) * Cols * kLanes; ++i) traces[i] = 0;
      add_piece<MostRows, Cols, InRegisters, Kind>(piece, row, row_end, n == begin, sums, traces);
      if constexpr (Kind == Squares::Traced) add_traces<Cols>(piece, traces);
    }
    for (std::size_t r = row; r < row_end; ++r)
      for (std::size_t c = 0; c < Cols; ++c) {
        double* to = g.fisher + r * g.stride + g.right.column(strip + c);
        const float* from = sums + ((r - row) * Cols + c) * kLanes;
        const std::size_t count = g.right.count(strip + c);
        if (count == kLanes)
          add_to(from, to, kLanes);  // a constant count: unrolled
        else
          add_to(from, to, count);
      }
  }
}

template <int MostRows, int MostStrips, bool InRegisters, Squares Kind, class Right>
void run(const Gram<Right>& g) {
  const std::size_t samples = g.left.rows / g.positions;
  const EvenParts parts(g.range.strip_end - g.range.strip_begin, MostStrips);
  for (std::size_t begin = 0; begin < samples; begin += kChain) {
    std::size_t strip = g.range.strip_begin;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t width = parts.size(part);
      with_constant<MostStrips>(width, [&](auto cols) {
        column_block<MostRows, decltype(cols)::value, InRegisters, Kind>(g, strip, begin,
                                                                         smaller(begin + kChain, samples));
      });
      strip += width;
    }
  }
}

}  // namespace

void gram_squared(const GramArguments& a) noexcept {
  const Gram<StripsRight> g{a.left, {a.right}, a.positions, a.weights, a.range, a.fisher, a.stride, a.traces};
  if (g.positions >= kManyPositions && g.traces)
    run<kTileRows, kTileStrips, false, Squares::Traced>(g);
  else if (g.positions >= kManyPositions)
    run<kTileRows, kTileStrips, false, Squares::Weighted>(g);
  else if (g.traces)
    run<kSmallRows, kSmallStrips, true, Squares::Traced>(g);
  else if (g.weights)
    run<kSmallRows, kSmallStrips, true, Squares::Weighted>(g);
  else
    run<kSmallRows, kSmallStrips, true, Squares::Plain>(g);
}

void grid_gram_squared(const GridGramArguments& a) noexcept {
  const Gram<PatchesRight> g{a.left,
                             {a.right, a.strips},
                             a.right.positions,
                             nullptr,
                             {0, a.left.cols, 0, a.strip_count},
                             a.fisher,
                             a.stride,
                             a.traces};
  if (g.positions >= kManyPositions && g.traces)
    run<kTileRows, kTileStrips, false, Squares::Traced>(g);
  else if (g.positions >= kManyPositions)
    run<kTileRows, kTileStrips, false, Squares::Plain>(g);
  else if (g.traces)
    run<kSmallRows, kSmallStrips, true, Squares::Traced>(g);
  else
    run<kSmallRows, kSmallStrips, true, Squares::Plain>(g);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
