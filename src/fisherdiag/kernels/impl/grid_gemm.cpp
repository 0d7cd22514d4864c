// Contract: kernels/window.hpp.
#include "fisherdiag/kernels/impl/gemm_finish.hpp"
#include "fisherdiag/kernels/window.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// Depth that goes by before sums leave their registers, if whole runs allow it: what of b that is passes by
/// in the second-level cache, and more would not fit small ones.
constexpr std::size_t kGridDepth = 768;

/// Runs [begin, end) of the patch and the row of b where they start.
struct Depth {
  std::size_t begin, end, row;
  bool first, last;  // of the whole patch
};

/// Where the patches of a tile's rows start; rows past the last repeat it.
struct Patches {
  const float* at[kTileRows];

  FISHERDIAG_INLINE Patches(const GridGemmArguments& g, std::size_t row) {
    const std::size_t positions = g.rows.positions;
    std::size_t t = row % positions;
    const float* sample = g.rows.grid + row / positions * g.rows.sample_floats;
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) {
      at[r] = sample + g.rows.bases[t];
      if (row + static_cast<std::size_t>(r) + 1 >= g.c.rows) continue;
      if (++t == positions) {
        t = 0;
        sample += g.rows.sample_floats;
      }
    }
  }
};

template <bool HalfTail, int Cols>
FISHERDIAG_INLINE void add_depth(const GridGemmArguments& g, std::size_t strip, std::size_t row, Depth depth,
                                 Tile<kTileRows, Cols>& acc) {
  const Patches patches(g, row);
  const float* b = g.b.data + strip * g.b.stride + depth.row * kLanes;
  RunningSums<HalfTail, kTileRows, Cols> sums(acc.v);
  for (std::size_t i = depth.begin; i < depth.end; ++i) {
    const float* at[kTileRows];
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) at[r] = patches.at[r] + g.runs[i].offset;
    const auto length = static_cast<std::size_t>(g.runs[i].length);
    for (std::size_t k = 0; k < length; ++k, b += kLanes)
      sums.add([&](int r) { return at[r][k]; }, b, g.b.stride);
  }
  sums.finish();
}

/// Rows of c from `row` on, up to a tile, over one piece of depth. Sums wait in c between pieces.
template <bool HalfTail, int Cols>
void tile(const GridGemmArguments& g, const GemmArguments& finish, std::size_t strip, std::size_t row,
          Depth depth) {
  Tile<kTileRows, Cols> acc;
  start_chain(finish, {row, strip}, depth.first && !g.add, acc);
  add_depth<HalfTail>(g, strip, row, depth, acc);
  end_chain<Nonlinearity::Identity>(finish, {row, strip}, depth.last, acc);
}

/// The rows past the last whole tile, over the whole depth, by way of a tile of their own.
template <bool HalfTail, int Cols>
void last_rows(const GridGemmArguments& g, std::size_t strip, std::size_t row) {
  alignas(64) float own[Cols * kTileRows * kLanes];
  const std::size_t bytes = (g.c.rows - row) * kLanes * sizeof(float);
  GemmArguments finish;
  finish.c = {own, kTileRows, Cols * kLanes, kTileRows * kLanes};
  finish.bias = g.bias ? g.bias + strip * kLanes : nullptr;
  float* to = g.c.data + strip * g.c.stride + row * kLanes;
  for (std::size_t i = 0; i < Cols * kTileRows * kLanes; ++i) own[i] = 0.f;
  if (g.add)
    for (int c = 0; c < Cols; ++c) __builtin_memcpy(own + c * kTileRows * kLanes, to + c * g.c.stride, bytes);
  Tile<kTileRows, Cols> acc;
  start_chain(finish, {0, 0}, false, acc);
  add_depth<HalfTail>(g, strip, row, {0, g.run_count, 0, true, true}, acc);
  end_chain<Nonlinearity::Identity>(finish, {0, 0}, true, acc);
  for (int c = 0; c < Cols; ++c) __builtin_memcpy(to + c * g.c.stride, own + c * kTileRows * kLanes, bytes);
}

template <bool HalfTail, int Cols>
void column_block(const GridGemmArguments& g, std::size_t strip) {
  GemmArguments finish;
  finish.c = g.c;
  finish.bias = g.bias;
  const std::size_t whole = g.c.rows / kTileRows * kTileRows;
  std::size_t row_of_b = 0;
  for (std::size_t run = 0; run < g.run_count;) {
    // As many runs as that allows, but one at least.
    std::size_t end = run, depth = 0;
    do {
      depth += static_cast<std::size_t>(g.runs[end++].length);
    } while (end < g.run_count && depth + static_cast<std::size_t>(g.runs[end].length) <= kGridDepth);
    for (std::size_t row = 0; row < whole; row += kTileRows)
      tile<HalfTail, Cols>(g, finish, strip, row, {run, end, row_of_b, run == 0, end == g.run_count});
    row_of_b += depth;
    run = end;
  }
  if (whole < g.c.rows) last_rows<HalfTail, Cols>(g, strip, whole);
}

}  // namespace

void grid_gemm(const GridGemmArguments& g) noexcept {
  const EvenParts parts((g.c.cols + kLanes - 1) / kLanes, kTileStrips);
  std::size_t strip = 0;
  for (std::size_t part = 0; part < parts.parts; ++part) {
    const std::size_t width = parts.size(part);
    const bool half = kHasHalves && g.c.cols + kLanes / 2 <= (strip + width) * kLanes;
    with_constant<kTileStrips>(width, [&](auto cols) {
      constexpr int kCols = decltype(cols)::value;
      if (half)
        column_block<kHasHalves, kCols>(g, strip);
      else
        column_block<false, kCols>(g, strip);
    });
    strip += width;
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
