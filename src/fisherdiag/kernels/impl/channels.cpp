// Contracts: kernels/channels.hpp.
#include "fisherdiag/kernels/channels.hpp"

#include <type_traits>

#include "fisherdiag/kernels/impl/exp.hpp"
#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

constexpr float kInverseSqrt2Pi = 0.39894228040143268f;

FISHERDIAG_INLINE Vec logistic(Vec x) {
  return Vec(1.f) / (Vec(1.f) + xsimd::exp(-x));
}

/// The normal distribution's function and density.
struct Normal {
  Vec cdf, density;
};

/// With b = |x| and u = 1 / (1 + 0.3 b): Phi(-b) = exp(-b^2 / 2) u R(u), R a polynomial fitted to the least
/// relative error, 2^-22.7, up to b = 14, where Phi(-b) underflows. The lower tail keeps its relative
/// accuracy.
FISHERDIAG_INLINE Normal normal(Vec x) {
  const Vec b = xsimd::min(Vec(15.f), xsimd::abs(x)), square = b * b;
  // What b^2 loses in rounding would be lost 80 times over in the exponential.
  const Vec lost = multiply_add(b, b, -square);
  const Vec plain = bounded_exp(Vec(-0.5f) * square);
  const Vec e = multiply_add(plain, Vec(-0.5f) * lost, plain);
  const Vec u = Vec(1.f) / multiply_add(b, Vec(0.3f), Vec(1.f));
  Vec r = multiply_add(u, Vec(0.0356747620f), Vec(-0.157203019f));
  r = multiply_add(r, u, Vec(0.206353351f));
  r = multiply_add(r, u, Vec(-0.0536835045f));
  r = multiply_add(r, u, Vec(0.128561556f));
  r = multiply_add(r, u, Vec(0.0999135152f));
  r = multiply_add(r, u, Vec(0.120753959f));
  r = multiply_add(r, u, Vec(0.119629301f));
  const Vec tail = e * (u * r);
  return {xsimd::select(x < Vec(0.f), tail, Vec(1.f) - tail), e * Vec(kInverseSqrt2Pi)};
}

/// A smooth function and its derivative; what is not used of it is not computed.
struct Point {
  Vec value, slope;
};

template <Function F>
FISHERDIAG_INLINE Point point(Vec x) {
  if constexpr (F == Function::Tanh) {
    const Vec y = xsimd::tanh(x);
    return {y, Vec(1.f) - y * y};
  }
  if constexpr (F == Function::Sigmoid) {
    const Vec s = logistic(x);
    return {s, s * logistic(-x)};
  }
  if constexpr (F == Function::Gelu) {
    const Normal n = normal(x);
    return {x * n.cdf, multiply_add(x, n.density, n.cdf)};
  }
  if constexpr (F == Function::Silu) {
    const Vec s = logistic(x);
    return {x * s, s * (Vec(1.f) + x * logistic(-x))};
  }
  return {x, Vec(1.f)};
}

template <Function F>
FISHERDIAG_INLINE Vec value(Vec x) {
  if constexpr (F == Function::Relu) return xsimd::max(x, Vec(0.f));
  if constexpr (F == Function::Relu6) return xsimd::min(xsimd::max(x, Vec(0.f)), Vec(6.f));
  return point<F>(x).value;
}

template <Function F>
FISHERDIAG_INLINE Vec times_slope(Vec x, Vec delta) {
  if constexpr (F == Function::Relu) return xsimd::select(x > Vec(0.f), delta, Vec(0.f));
  if constexpr (F == Function::Relu6)
    return xsimd::select(x > Vec(0.f), xsimd::select(x < Vec(6.f), delta, Vec(0.f)), Vec(0.f));
  if constexpr (F == Function::Identity) return delta;
  return delta * point<F>(x).slope;
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

void activate_keeping_slope(Function f, const Strips& input, const Strips& output) noexcept {
  with_function(f, [&](auto function) {
    for_vectors(input, output.stride, 0, [&](std::size_t in, std::size_t out, std::size_t) {
      const Vec x = load_aligned(input.data + in);
      store_aligned(output.data + out, value<decltype(function)::value>(x));
      store_aligned(input.data + in, times_slope<decltype(function)::value>(x, Vec(1.f)));
    });
  });
}

void multiply_slope(const ConstStrips& slope, const ConstStrips& delta, bool add,
                    const Strips& below) noexcept {
  for_vectors(slope, delta.stride, below.stride, [&](std::size_t s, std::size_t d, std::size_t b) {
    const Vec own = load_aligned(delta.data + d) * load_aligned(slope.data + s);
    store_aligned(below.data + b, add ? load_aligned(below.data + b) + own : own);
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
