// Forward and backward products of a layer for either unit. Contracts: kernels/bf16.hpp.
#pragma once

#include "fisherdiag/kernels/impl/bf16/units.hpp"

namespace fisherdiag::kernels::bf16 {

template <Nonlinearity F>
FISHERDIAG_INLINE __m512 apply(__m512 z) {
  if constexpr (F == Nonlinearity::Relu) return _mm512_max_ps(z, _mm512_setzero_ps());
  if constexpr (F == Nonlinearity::Tanh) return xsimd::tanh(Vec(z));
  if constexpr (F == Nonlinearity::Sigmoid) return Vec(1.f) / (Vec(1.f) + xsimd::exp(-Vec(z)));
  return z;
}

/// f' as a function of f, for those f whose derivative needs storing.
template <Nonlinearity F>
FISHERDIAG_INLINE __m512 slope_at(__m512 output) {
  const __m512 one = _mm512_set1_ps(1.f);
  if constexpr (F == Nonlinearity::Tanh) return _mm512_fnmadd_ps(output, output, one);
  if constexpr (F == Nonlinearity::Sigmoid) return _mm512_mul_ps(output, _mm512_sub_ps(one, output));
  if constexpr (F == Nonlinearity::Relu)
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(output, _mm512_setzero_ps(), _CMP_GT_OQ), one);
  return one;
}

/// A pair of rows of c and a half of its columns: 16 pairs in one vector once rounded.
struct RowPair {
  __m512 even, odd;
};

template <Nonlinearity F>
struct FinishForward {
  const Bf16ForwardArguments& g;

  explicit FinishForward(const Bf16ForwardArguments& arguments) : g(arguments) {}

  FISHERDIAG_INLINE void ask(std::size_t o, std::size_t n, std::size_t begin, std::size_t end) const {
    if (g.output.data) ask_block(g.output.block(n, o), begin, end);
    if (g.squared.data) ask_block(g.squared.block(o, n), begin, end);
  }

  void operator()(std::size_t o, std::size_t n, const float* c) const {
    for (std::size_t half = 0; half < 2; ++half) half_block(o, n, half, c + half * kHalf * kRow);
  }

 private:
  FISHERDIAG_INLINE void half_block(std::size_t o, std::size_t n, std::size_t half, const float* c) const {
    const float* bias = g.bias + o * kBf16Block + half * kHalf;
    __m512i squares[kHalf];
#pragma GCC unroll 8
    for (std::size_t p = 0; p < kHalf / 2; ++p) {
      const __m512 bias0 = _mm512_set1_ps(bias[2 * p]), bias1 = _mm512_set1_ps(bias[2 * p + 1]);
      const float* row = c + 2 * p * kRow;
      __m512 value[2][2];  // row of the pair, half of the samples
      for (std::size_t j = 0; j < 2; ++j) {
        value[0][j] = apply<F>(_mm512_add_ps(_mm512_load_ps(row + j * kHalf), bias0));
        value[1][j] = apply<F>(_mm512_add_ps(_mm512_load_ps(row + kRow + j * kHalf), bias1));
        const std::size_t at = j * kTileElements + (half * kHalf / 2 + p) * kBf16Block;
        if (g.output.data) store_block(g.output.block(n, o) + at, round_pairs(value[0][j], value[1][j]));
        if (g.slope.data)
          store_block(g.slope.block(n, o) + at,
                      round_pairs(slope_at<F>(value[0][j]), slope_at<F>(value[1][j])));
      }
      for (std::size_t r = 0; r < 2; ++r) {
        squares[2 * p + r] =
            round_both(_mm512_mul_ps(value[r][0], value[r][0]), _mm512_mul_ps(value[r][1], value[r][1]));
        if (g.values) scatter(o * kBf16Block + half * kHalf + 2 * p + r, n, value[r]);
      }
    }
    if (!g.squared.data) return;
    transpose(squares);
#pragma GCC unroll 16
    for (std::size_t p = 0; p < kHalf; ++p)
      store_block(g.squared.block(o, n) + half * kTileElements + p * kBf16Block, squares[p]);
  }

  /// One output of 32 samples into the row-major copy.
  void scatter(std::size_t output, std::size_t n, const __m512 (&value)[2]) const {
    alignas(64) float samples[kBf16Block];
    if (output >= g.weight.vectors) return;
    _mm512_store_ps(samples, value[0]);
    _mm512_store_ps(samples + kHalf, value[1]);
    const std::size_t first = n * kBf16Block, count = smaller(kBf16Block, g.input.vectors - first);
    for (std::size_t i = 0; i < count; ++i) g.values[(first + i) * g.values_stride + output] = samples[i];
  }
};

template <Nonlinearity F>
struct FinishBackward {
  const Bf16BackwardArguments& g;
  std::size_t group_blocks;

  explicit FinishBackward(const Bf16BackwardArguments& arguments)
      : g(arguments), group_blocks(bf16_blocks(arguments.squared.depth)) {}

  FISHERDIAG_INLINE void ask(std::size_t i, std::size_t r, std::size_t begin, std::size_t end) const {
    if (g.below.data) ask_block(g.below.block(r, i), begin, end);
    if (g.last && r / group_blocks + 1 == g.groups)
      ask_block(g.squared.block(i, r % group_blocks), begin, end);
  }

  void operator()(std::size_t i, std::size_t r, const float* c) const {
    const std::size_t group = r / group_blocks, n = r % group_blocks;
    const bool overwrite = g.first && group == 0, finished = g.last && group + 1 == g.groups;
    const Bf16* factor = F == Nonlinearity::Identity ? nullptr : g.factor.block(n, i);
    Bf16* below = g.below.data ? g.below.block(r, i) : nullptr;
    float* sums = overwrite && finished ? nullptr : g.sums + (i * group_blocks + n) * kBf16BlockElements;
    Bf16* squared = finished ? g.squared.block(i, n) : nullptr;
    for (std::size_t p = 0; p < kBf16Block / 2; ++p) {
      RowPair d[2];
      for (std::size_t j = 0; j < 2; ++j) {
        const std::size_t at = j * kTileElements + p * kBf16Block;
        d[j].even = _mm512_load_ps(c + 2 * p * kRow + j * kHalf);
        d[j].odd = _mm512_load_ps(c + (2 * p + 1) * kRow + j * kHalf);
        if constexpr (F != Nonlinearity::Identity) d[j] = times_slope(d[j], load_block(factor + at));
        if (below) store_block(below + at, round_pairs(d[j].even, d[j].odd));
      }
      add_squares(d[0].even, d[1].even, 2 * p, overwrite, sums, squared);
      add_squares(d[0].odd, d[1].odd, 2 * p + 1, overwrite, sums, squared);
    }
  }

 private:
  FISHERDIAG_INLINE static RowPair times_slope(RowPair d, __m512i factor) {
    const __m512 even = even_of(factor), odd = odd_of(factor), zero = _mm512_setzero_ps();
    if constexpr (F == Nonlinearity::Relu)
      return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(even, zero, _CMP_GT_OQ), d.even),
              _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(odd, zero, _CMP_GT_OQ), d.odd)};
    return {_mm512_mul_ps(d.even, even), _mm512_mul_ps(d.odd, odd)};
  }

  /// Row `row` of the block: 32 samples of one unit.
  FISHERDIAG_INLINE static void add_squares(__m512 d0, __m512 d1, std::size_t row, bool overwrite,
                                            float* sums, Bf16* squared) {
    __m512 s0 = _mm512_mul_ps(d0, d0), s1 = _mm512_mul_ps(d1, d1);
    if (!overwrite) {
      s0 = _mm512_fmadd_ps(d0, d0, _mm512_load_ps(sums + row * kRow));
      s1 = _mm512_fmadd_ps(d1, d1, _mm512_load_ps(sums + row * kRow + kHalf));
    }
    if (squared) return store_block(squared + row * kBf16Block, round_both(s0, s1));
    _mm512_store_ps(sums + row * kRow, s0);
    _mm512_store_ps(sums + row * kRow + kHalf, s1);
  }
};

template <class Unit, Nonlinearity F>
void forward_as(const Bf16ForwardArguments& g) {
  multiply<Unit>({{g.weight.data, g.weight.stride, 0, bf16_blocks(g.weight.vectors)},
                  {g.input.data, g.input.stride, 0, bf16_blocks(g.input.vectors)},
                  bf16_blocks(g.weight.depth),
                  g.scratch},
                 FinishForward<F>(g));
}

template <class Unit, Nonlinearity F>
void backward_as(const Bf16BackwardArguments& g) {
  multiply<Unit>({{g.weight.data, g.weight.stride, 0, bf16_blocks(g.weight.vectors)},
                  {g.delta.data, g.delta.stride, 0, g.groups * bf16_blocks(g.squared.depth)},
                  bf16_blocks(g.weight.depth),
                  g.scratch},
                 FinishBackward<F>(g));
}

template <class Unit>
void forward(const Bf16ForwardArguments& g) noexcept {
  switch (g.nonlinearity) {
    case Nonlinearity::Identity:
      return forward_as<Unit, Nonlinearity::Identity>(g);
    case Nonlinearity::Relu:
      return forward_as<Unit, Nonlinearity::Relu>(g);
    case Nonlinearity::Tanh:
      return forward_as<Unit, Nonlinearity::Tanh>(g);
    case Nonlinearity::Sigmoid:
      return forward_as<Unit, Nonlinearity::Sigmoid>(g);
  }
}

template <class Unit>
void backward(const Bf16BackwardArguments& g) noexcept {
  switch (g.nonlinearity) {
    case Nonlinearity::Identity:
      return backward_as<Unit, Nonlinearity::Identity>(g);
    case Nonlinearity::Relu:
      return backward_as<Unit, Nonlinearity::Relu>(g);
    case Nonlinearity::Tanh:
      return backward_as<Unit, Nonlinearity::Tanh>(g);
    case Nonlinearity::Sigmoid:
      return backward_as<Unit, Nonlinearity::Sigmoid>(g);
  }
}

}  // namespace fisherdiag::kernels::bf16
