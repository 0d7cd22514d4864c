// Contract: kernels/gemm.hpp.
#include "fisherdiag/kernels/impl/gemm_finish.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// sums += a(rows, k) b(k, strips) for `count` consecutive k inside one strip of a.
template <bool HalfTail, int Rows, int Cols>
FISHERDIAG_INLINE void add_products(RunningSums<HalfTail, Rows, Cols>& sums, const float* a, const float* b,
                                    std::size_t b_stride, std::size_t count) {
  for (std::size_t k = 0; k < count; ++k)
    sums.add([&](int r) { return a[static_cast<std::size_t>(r) * kLanes + k]; }, b + k * kLanes, b_stride);
}

/// The chain over k in [begin, end); begin is a multiple of kLanes. `a` is row 0 of the tile in strip 0.
template <bool HalfTail, int Rows, int Cols>
FISHERDIAG_INLINE void accumulate(Tile<Rows, Cols>& acc, const float* a, std::size_t a_stride, const float* b,
                                  std::size_t b_stride, std::size_t begin, std::size_t end) {
  RunningSums<HalfTail, Rows, Cols> sums(acc.v);
  std::size_t k = begin;
  for (; k + kLanes <= end; k += kLanes)
    add_products(sums, a + k / kLanes * a_stride, b + k * kLanes, b_stride, kLanes);
  add_products(sums, a + k / kLanes * a_stride, b + k * kLanes, b_stride, end - k);
  sums.finish();
}

template <Nonlinearity F, int Cols, bool HalfTail>
void tile(const GemmArguments& g, Place p, std::size_t begin, std::size_t end) {
  Tile<kTileRows, Cols> acc;
  start_chain(g, p, begin == 0, acc);
  accumulate<HalfTail>(acc, g.a.data + p.row * kLanes, g.a.stride, g.b.data + p.strip * g.b.stride,
                       g.b.stride, begin, end);
  end_chain<F>(g, p, end == g.b.rows, acc);
}

/// One column block of c over depth [begin, end): each piece of b stays in the first-level cache for all
/// rows.
template <Nonlinearity F, int Cols, bool HalfTail>
void column_block(const GemmArguments& g, std::size_t strip, std::size_t begin, std::size_t end) {
  const std::size_t tiles = (g.a.rows + kTileRows - 1) / kTileRows;
  const EvenParts pieces((end - begin + kLanes - 1) / kLanes, kGemmDepth / kLanes);  // in whole strips of a
  for (std::size_t piece = 0; piece < pieces.parts; ++piece) {
    const std::size_t from = begin + pieces.begin(piece) * kLanes;
    const std::size_t to = smaller(from + pieces.size(piece) * kLanes, end);
    for (std::size_t t = 0; t < tiles; ++t) {
      tile<F, Cols, HalfTail>(g, {t * kTileRows, strip}, from, to);
    }
  }
}

template <Nonlinearity F>
void run(const GemmArguments& g) {
  const std::size_t last_strip = g.last_strip ? g.last_strip : (g.c.cols + kLanes - 1) / kLanes;
  const EvenParts parts(last_strip - g.first_strip, kTileStrips);
  for (std::size_t begin = 0; begin < g.b.rows; begin += kGemmDepthL2) {
    std::size_t strip = g.first_strip;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t width = parts.size(part), end = smaller(begin + kGemmDepthL2, g.b.rows);
      const bool half = kHasHalves && g.c.cols + kLanes / 2 <= (strip + width) * kLanes;
      with_constant<kTileStrips>(width, [&](auto cols) {
        constexpr int kCols = decltype(cols)::value;
        if (half)
          column_block<F, kCols, kHasHalves>(g, strip, begin, end);
        else
          column_block<F, kCols, false>(g, strip, begin, end);
      });
      strip += width;
    }
  }
}

}  // namespace

void gemm(const GemmArguments& g) noexcept {
  with_nonlinearity(g.nonlinearity, [&](auto f) { run<decltype(f)::value>(g); });
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
