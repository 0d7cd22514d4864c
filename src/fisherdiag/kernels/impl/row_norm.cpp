// Contracts: kernels/row_norm.hpp.
#include "fisherdiag/kernels/row_norm.hpp"

#include "fisherdiag/kernels/impl/sweep.hpp"
#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// One row of a matrix in strips, vector by vector; past its last column it is 0.
template <class T>
struct Row {
  T* data;
  std::size_t stride, cols;

  Row(const StripsOf<T>& m, std::size_t r)
      : data(m.data ? m.data + r * kLanes : nullptr), stride(m.stride), cols(m.cols) {}
  FISHERDIAG_INLINE Vec vector(std::size_t column) const {
    const Vec v = load_aligned(data + column / kLanes * stride);
    return column + kLanes <= cols ? v : keep_first(v, cols - column);
  }
  FISHERDIAG_INLINE T* at(std::size_t column) const { return data + column / kLanes * stride; }
};

/// x - mean is (x - first) - rest; inverse = 1 / sqrt(variance + eps).
struct Moments {
  Vec first, rest, inverse;
  FISHERDIAG_INLINE Vec normalized(Vec x) const { return ((x - first) - rest) * inverse; }
};

FISHERDIAG_INLINE Moments moments_of(const Row<const float>& x, bool centred, float eps) {
  const float share = 1.f / static_cast<float>(x.cols);
  Vec sum(0.f);
  for (std::size_t c = 0; centred && c < x.cols; c += kLanes) sum += x.vector(c);
  const Vec first(centred ? horizontal_sum(sum) * share : 0.f);
  Vec rest(0.f), squares(0.f);
  for (std::size_t c = 0; c < x.cols; c += kLanes) {
    Vec off = x.vector(c) - first;
    if (c + kLanes > x.cols) off = keep_first(off, x.cols - c);
    rest += off;
    squares = multiply_add(off, off, squares);
  }
  const float mean_rest = centred ? horizontal_sum(rest) * share : 0.f;
  const float variance = horizontal_sum(squares) * share - mean_rest * mean_rest;
  return {first, Vec(mean_rest), Vec(1.f) / xsimd::sqrt(Vec(variance + eps))};
}

/// to[0 .. count) += v.
FISHERDIAG_INLINE void add_to(float* to, Vec v, std::size_t count) {
  if (count >= kLanes)
    store(to, load(to) + v);
  else
    store_partial(to, load_partial(to, count) + v, count);
}

FISHERDIAG_INLINE void backward_row(const RowNormBackwardArguments& a, std::size_t r) {
  const Row<const float> x(a.input, r), d(a.delta, r);
  const Row<float> below(a.below, r);
  const Moments moments = moments_of(x, a.centred, a.eps);
  Vec sum(0.f), along(0.f);
  for (std::size_t c = 0; c < x.cols; c += kLanes) {
    const Vec delta = d.vector(c), u = moments.normalized(x.vector(c));
    const Vec g = delta * load(a.scale + c);
    sum += g;
    along = multiply_add(g, u, along);
    if (a.scale_gradient) add_to(a.scale_gradient + c, delta * u, x.cols - c);
    if (a.shift_gradient) add_to(a.shift_gradient + c, delta, x.cols - c);
  }
  if (!a.below.data) return;
  const float share = 1.f / static_cast<float>(x.cols);
  const Vec mean(a.centred ? horizontal_sum(sum) * share : 0.f), part(-horizontal_sum(along) * share);
  for (std::size_t c = 0; c < x.cols; c += kLanes) {
    const Vec g = d.vector(c) * load(a.scale + c), u = moments.normalized(x.vector(c));
    const Vec own = multiply_add(u, part, g - mean) * moments.inverse;
    float* to = below.at(c);
    store_aligned(to, a.add ? load_aligned(to) + own : own);
  }
}

}  // namespace

void row_norm_forward(const RowNormArguments& a) noexcept {
  for (std::size_t r = 0; r < a.input.rows; ++r) {
    const Row<const float> x(a.input, r);
    const Row<float> y(a.output, r);
    const Moments moments = moments_of(x, a.centred, a.eps);
    for (std::size_t c = 0; c < x.cols; c += kLanes) {
      const Vec u = moments.normalized(x.vector(c));
      store_aligned(y.at(c), multiply_add(u, load(a.scale + c), load(a.shift + c)));
    }
  }
}

void row_norm_backward(const RowNormBackwardArguments& a) noexcept {
  for (std::size_t r = 0; r < a.input.rows; ++r) backward_row(a, r);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
