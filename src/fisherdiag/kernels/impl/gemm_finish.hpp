// What products do with a tile of sums: half vectors, bias, nonlinearity or derivative, squares, stores.
#pragma once

#include <type_traits>

#include "fisherdiag/kernels/gemm.hpp"
#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

template <int Rows, int Cols>
struct Tile {
  Vec v[Rows][Cols];
};

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
#pragma GCC unroll 8
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
#pragma GCC unroll 8
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
#pragma GCC unroll 8
  for (int c = 0; c < Cols; ++c)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) acc.v[r][c] = load_aligned(at(g.c, p.strip + c, p.row) + r * kLanes);
}

template <int Rows, int Cols>
FISHERDIAG_INLINE void store_partial(const GemmArguments& g, Place p, const Tile<Rows, Cols>& acc) {
#pragma GCC unroll 8
  for (int c = 0; c < Cols; ++c)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) store_aligned(at(g.c, p.strip + c, p.row) + r * kLanes, acc.v[r][c]);
}

/// The sums a chain goes on from: zero at its start, else what the last piece of depth left in c.
template <int Rows, int Cols>
FISHERDIAG_INLINE void start_chain(const GemmArguments& g, Place p, bool first, Tile<Rows, Cols>& acc) {
  if (!first) return load_partial(g, p, acc);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < Cols; ++c) acc.v[r][c] = Vec(0.f);
}

/// Leaves the sums in c for the next piece of depth, or finishes them.
template <Nonlinearity F, int Rows, int Cols>
FISHERDIAG_INLINE void end_chain(const GemmArguments& g, Place p, bool last, const Tile<Rows, Cols>& acc) {
  if (!last)
    store_partial(g, p, acc);
  else if (g.factor.data)
    finish_backward<F>(g, p, acc);
  else
    finish_forward<F>(g, p, acc);
}

/// Calls f(Constant<nonlinearity>) for g's.
template <class Run>
FISHERDIAG_INLINE void with_nonlinearity(Nonlinearity f, const Run& run) {
  switch (f) {
    case Nonlinearity::Identity:
      return run(std::integral_constant<Nonlinearity, Nonlinearity::Identity>{});
    case Nonlinearity::Relu:
      return run(std::integral_constant<Nonlinearity, Nonlinearity::Relu>{});
    case Nonlinearity::Tanh:
      return run(std::integral_constant<Nonlinearity, Nonlinearity::Tanh>{});
    case Nonlinearity::Sigmoid:
      return run(std::integral_constant<Nonlinearity, Nonlinearity::Sigmoid>{});
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
