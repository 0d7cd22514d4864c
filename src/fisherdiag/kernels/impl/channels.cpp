// Contracts: kernels/channels.hpp.
#include "fisherdiag/kernels/channels.hpp"

#include <type_traits>

#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

constexpr float kInverseSqrt2 = 0.70710678118654752f, kInverseSqrt2Pi = 0.39894228040143268f;

FISHERDIAG_INLINE Vec logistic(Vec x) {
  return Vec(1.f) / (Vec(1.f) + xsimd::exp(-x));
}
/// Phi(x), the normal distribution function; erfc keeps its relative accuracy in the lower tail.
FISHERDIAG_INLINE Vec normal_cdf(Vec x) {
  return Vec(0.5f) * xsimd::erfc(-x * Vec(kInverseSqrt2));
}

template <Function F>
FISHERDIAG_INLINE Vec value(Vec x) {
  if constexpr (F == Function::Relu) return xsimd::max(x, Vec(0.f));
  if constexpr (F == Function::Relu6) return xsimd::min(xsimd::max(x, Vec(0.f)), Vec(6.f));
  if constexpr (F == Function::Tanh) return xsimd::tanh(x);
  if constexpr (F == Function::Sigmoid) return logistic(x);
  if constexpr (F == Function::Gelu) return x * normal_cdf(x);
  if constexpr (F == Function::Silu) return x * logistic(x);
  return x;
}

template <Function F>
FISHERDIAG_INLINE Vec times_slope(Vec x, Vec delta) {
  if constexpr (F == Function::Relu) return xsimd::select(x > Vec(0.f), delta, Vec(0.f));
  if constexpr (F == Function::Relu6)
    return xsimd::select(x > Vec(0.f), xsimd::select(x < Vec(6.f), delta, Vec(0.f)), Vec(0.f));
  if constexpr (F == Function::Tanh) {
    const Vec y = xsimd::tanh(x);
    return delta * (Vec(1.f) - y * y);
  }
  if constexpr (F == Function::Sigmoid) return delta * (logistic(x) * logistic(-x));
  if constexpr (F == Function::Gelu)
    return delta * (normal_cdf(x) + x * Vec(kInverseSqrt2Pi) * xsimd::exp(Vec(-0.5f) * x * x));
  if constexpr (F == Function::Silu) {
    const Vec s = logistic(x);
    return delta * (s * (Vec(1.f) + x * logistic(-x)));
  }
  return delta;
}

template <class Run>
FISHERDIAG_INLINE void with_function(Function f, const Run& run) {
  switch (f) {
    case Function::Identity:
      return run(std::integral_constant<Function, Function::Identity>{});
    case Function::Relu:
      return run(std::integral_constant<Function, Function::Relu>{});
    case Function::Relu6:
      return run(std::integral_constant<Function, Function::Relu6>{});
    case Function::Tanh:
      return run(std::integral_constant<Function, Function::Tanh>{});
    case Function::Sigmoid:
      return run(std::integral_constant<Function, Function::Sigmoid>{});
    case Function::Gelu:
      return run(std::integral_constant<Function, Function::Gelu>{});
    case Function::Silu:
      return run(std::integral_constant<Function, Function::Silu>{});
  }
}

/// Calls f(offset in a, in b, in c) for every vector of the rows of three matrices of one shape.
template <class F>
FISHERDIAG_INLINE void for_vectors(const ConstStrips& a, std::size_t b_stride, std::size_t c_stride,
                                   const F& f) {
  for (std::size_t strip = 0; strip * kLanes < a.cols; ++strip)
    for (std::size_t r = 0; r < a.rows; ++r)
      f(strip * a.stride + r * kLanes, strip * b_stride + r * kLanes, strip * c_stride + r * kLanes);
}

}  // namespace

void activate(Function f, const ConstStrips& input, const Strips& output) noexcept {
  with_function(f, [&](auto function) {
    for_vectors(input, output.stride, 0, [&](std::size_t in, std::size_t out, std::size_t) {
      store_aligned(output.data + out, value<decltype(function)::value>(load_aligned(input.data + in)));
    });
  });
}

void activate_backward(Function f, const ConstStrips& input, const ConstStrips& delta, bool add,
                       const Strips& below) noexcept {
  with_function(f, [&](auto function) {
    for_vectors(input, delta.stride, below.stride, [&](std::size_t in, std::size_t d, std::size_t b) {
      const Vec own =
          times_slope<decltype(function)::value>(load_aligned(input.data + in), load_aligned(delta.data + d));
      store_aligned(below.data + b, add ? load_aligned(below.data + b) + own : own);
    });
  });
}

void scale_columns(const ConstStrips& input, const float* scale, const float* shift, bool add,
                   const Strips& output) noexcept {
  for (std::size_t strip = 0; strip * kLanes < input.cols; ++strip) {
    const Vec factor = scale ? load(scale + strip * kLanes) : Vec(1.f);
    const Vec offset = shift ? load(shift + strip * kLanes) : Vec(0.f);
    const float* from = input.data + strip * input.stride;
    float* to = output.data + strip * output.stride;
    for (std::size_t r = 0; r < input.rows * kLanes; r += kLanes) {
      const Vec own = multiply_add(load_aligned(from + r), factor, offset);
      store_aligned(to + r, add ? load_aligned(to + r) + own : own);
    }
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
