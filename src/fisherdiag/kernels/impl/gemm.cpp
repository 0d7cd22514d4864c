// Contract: kernels/gemm.hpp.
#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

template <int Rows, int Cols>
struct Tile {
  Vec v[Rows][Cols];
};

/// acc += a(rows, k) b(k, strips) for `count` consecutive k inside one strip of a.
template <int Rows, int Cols>
FISHERDIAG_INLINE void add_products(Tile<Rows, Cols>& acc, const float* a, const float* b,
                                    std::size_t b_stride, std::size_t first, std::size_t count) {
  for (std::size_t k = first; k < first + count; ++k) {
    Vec right[Cols];
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) right[c] = load_aligned(b + c * b_stride + k * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec left(a[r * kLanes + k]);
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) acc.v[r][c] = multiply_add(left, right[c], acc.v[r][c]);
    }
  }
}

/// The chain over k in [begin, end); begin is a multiple of kLanes. `a` is row 0 of the tile in strip 0.
template <int Rows, int Cols>
FISHERDIAG_INLINE void accumulate(Tile<Rows, Cols>& acc, const float* a, std::size_t a_stride, const float* b,
                                  std::size_t b_stride, std::size_t begin, std::size_t end) {
  std::size_t k = begin;
  for (; k + kLanes <= end; k += kLanes)
    add_products(acc, a + k / kLanes * a_stride, b + k * kLanes, b_stride, 0, kLanes);
  add_products(acc, a + k / kLanes * a_stride, b + k * kLanes, b_stride, 0, end - k);
}

FISHERDIAG_INLINE Vec apply(Nonlinearity f, Vec z) {
  switch (f) {
    case Nonlinearity::Identity:
      return z;
    case Nonlinearity::Relu:
      return xsimd::max(z, Vec(0.f));
    case Nonlinearity::Tanh:
      return xsimd::tanh(z);
    case Nonlinearity::Sigmoid:
      return Vec(1.f) / (Vec(1.f) + xsimd::exp(-z));
  }
  return z;
}

/// Multiplies by the derivative, a function of the nonlinearity's output.
FISHERDIAG_INLINE Vec apply_derivative(Nonlinearity f, Vec delta, Vec output) {
  switch (f) {
    case Nonlinearity::Identity:
      return delta;
    case Nonlinearity::Relu:
      return xsimd::select(output > Vec(0.f), delta, Vec(0.f));
    case Nonlinearity::Tanh:
      return delta * (Vec(1.f) - output * output);
    case Nonlinearity::Sigmoid:
      return delta * (output * (Vec(1.f) - output));
  }
  return delta;
}

/// Where one tile lies, as offsets shared by all operands with its rows and strips.
struct Place {
  std::size_t row;    // first row of c
  std::size_t strip;  // first strip of c
};

FISHERDIAG_INLINE float* at(const Strips& m, std::size_t strip, std::size_t row) {
  return m.data + strip * m.stride + row * kLanes;
}
FISHERDIAG_INLINE const float* at(const ConstStrips& m, std::size_t strip, std::size_t row) {
  return m.data + strip * m.stride + row * kLanes;
}

template <Nonlinearity F, int Rows, int Cols>
FISHERDIAG_INLINE void finish_forward(const GemmArguments& g, Place p, const Tile<Rows, Cols>& acc) {
#pragma GCC unroll 4
  for (int c = 0; c < Cols; ++c) {
    const Vec bias = g.bias ? load(g.bias + (p.strip + c) * kLanes) : Vec(0.f);
    float* out = at(g.c, p.strip + c, p.row);
    float* squared = g.squared.data ? at(g.squared, p.strip + c, p.row) : nullptr;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec value = apply(F, acc.v[r][c] + bias);
      store_aligned(out + r * kLanes, value);
      if (squared) store_aligned(squared + r * kLanes, value * value);
    }
  }
}

template <Nonlinearity F, int Rows, int Cols>
FISHERDIAG_INLINE void finish_backward(const GemmArguments& g, Place p, const Tile<Rows, Cols>& acc) {
  const std::size_t sample = p.row % g.factor.rows;
  const bool overwrite = g.squared_overwrite && p.row < g.factor.rows;
#pragma GCC unroll 4
  for (int c = 0; c < Cols; ++c) {
    float* out = at(g.c, p.strip + c, p.row);
    const float* output = at(g.factor, p.strip + c, sample);
    float* squared = g.squared.data ? at(g.squared, p.strip + c, sample) : nullptr;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec value = apply_derivative(F, acc.v[r][c], load_aligned(output + r * kLanes));
      store_aligned(out + r * kLanes, value);
      if (!squared) continue;
      const Vec before = overwrite ? Vec(0.f) : load_aligned(squared + r * kLanes);
      store_aligned(squared + r * kLanes, multiply_add(value, value, before));
    }
  }
}

/// Partial sums of a tile, kept in c between depth blocks.
template <int Rows, int Cols>
FISHERDIAG_INLINE void load_partial(const GemmArguments& g, Place p, Tile<Rows, Cols>& acc) {
#pragma GCC unroll 4
  for (int c = 0; c < Cols; ++c)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) acc.v[r][c] = load_aligned(at(g.c, p.strip + c, p.row) + r * kLanes);
}

template <int Rows, int Cols>
FISHERDIAG_INLINE void store_partial(const GemmArguments& g, Place p, const Tile<Rows, Cols>& acc) {
#pragma GCC unroll 4
  for (int c = 0; c < Cols; ++c)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) store_aligned(at(g.c, p.strip + c, p.row) + r * kLanes, acc.v[r][c]);
}

template <Nonlinearity F, int Cols>
void tile(const GemmArguments& g, Place p, std::size_t begin, std::size_t end) {
  constexpr int Rows = kTileRows;
  Tile<Rows, Cols> acc;
  if (begin > 0) {
    load_partial(g, p, acc);
  } else {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) acc.v[r][c] = Vec(0.f);
  }
  accumulate(acc, g.a.data + p.row * kLanes, g.a.stride, g.b.data + p.strip * g.b.stride, g.b.stride, begin,
             end);
  if (end < g.b.rows)
    store_partial(g, p, acc);
  else if (g.factor.data)
    finish_backward<F>(g, p, acc);
  else
    finish_forward<F>(g, p, acc);
}

/// One column block of c over depth [begin, end): each piece of b stays in the first-level cache for all
/// rows. `following` is where the next column block starts in b, or nullptr.
template <Nonlinearity F, int Cols>
void column_block(const GemmArguments& g, std::size_t strip, std::size_t begin, std::size_t end,
                  const float* following) {
  const std::size_t tiles = (g.a.rows + kTileRows - 1) / kTileRows;
  const EvenParts pieces((end - begin + kLanes - 1) / kLanes, kGemmDepth / kLanes);  // in whole strips of a
  for (std::size_t piece = 0; piece < pieces.parts; ++piece) {
    const std::size_t from = begin + pieces.begin(piece) * kLanes;
    const std::size_t to = smaller(from + pieces.size(piece) * kLanes, end);
    const bool last = piece + 1 == pieces.parts;
    const float* next = last ? following : g.b.data + strip * g.b.stride + to * kLanes;
    const std::size_t next_depth =
        smaller(pieces.size(last ? 0 : piece + 1) * kLanes, last ? end - begin : end - to);
    for (std::size_t t = 0; t < tiles; ++t) {
      if (next) prefetch_piece<Cols>(next, g.b.stride, next_depth, t, tiles);
      tile<F, Cols>(g, {t * kTileRows, strip}, from, to);
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
      const std::size_t width = parts.size(part);
      const float* following =
          part + 1 < parts.parts ? g.b.data + (strip + width) * g.b.stride + begin * kLanes : nullptr;
      with_constant<kTileStrips>(width, [&](auto cols) {
        column_block<F, decltype(cols)::value>(g, strip, begin, smaller(begin + kGemmDepthL2, g.b.rows),
                                               following);
      });
      strip += width;
    }
  }
}

}  // namespace

void gemm(const GemmArguments& g) noexcept {
  switch (g.nonlinearity) {
    case Nonlinearity::Identity:
      return run<Nonlinearity::Identity>(g);
    case Nonlinearity::Relu:
      return run<Nonlinearity::Relu>(g);
    case Nonlinearity::Tanh:
      return run<Nonlinearity::Tanh>(g);
    case Nonlinearity::Sigmoid:
      return run<Nonlinearity::Sigmoid>(g);
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
