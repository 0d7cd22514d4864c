// Contracts: kernels/attention.hpp.
#include "fisherdiag/kernels/attention.hpp"

#include "fisherdiag/kernels/impl/exp.hpp"
#include "fisherdiag/kernels/impl/sweep.hpp"
#include "fisherdiag/kernels/impl/tiles.hpp"
#include "fisherdiag/kernels/impl/transpose.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// Vectors of exponentials added in one chain.
constexpr std::size_t kChainVectors = 16;
/// Its exponential is 0, and it can be subtracted from itself.
constexpr float kNever = -1e30f;

/// The columns a row of scores may see, vector by vector.
struct Visible {
  const MaskedSoftmaxArguments& a;
  std::size_t count;  // columns from here on are not seen

  /// v with `other` where nothing is seen.
  FISHERDIAG_INLINE Vec seen(Vec v, std::size_t column, Vec other) const {
    if (a.allowed) v = xsimd::select(load(a.allowed + column) == Vec(0.f), other, v);
    if (column + kLanes <= count) return v;
    alignas(64) float last[kLanes];
    store_aligned(last, v);
    alignas(64) float result[kLanes];
    store_aligned(result, other);
    for (std::size_t i = 0; column + i < count; ++i) result[i] = last[i];
    return load_aligned(result);
  }
};

/// Row at `row` of the first strip.
FISHERDIAG_INLINE void softmax_row(const MaskedSoftmaxArguments& a, float* row, const Visible& visible) {
  const std::size_t strips = (visible.count + kLanes - 1) / kLanes;
  const Vec scale(a.scale), never(kNever);
  Vec max = never;
  for (std::size_t s = 0; s < strips; ++s) {
    float* at = row + s * a.scores.stride;
    const Vec z = visible.seen(load_aligned(at) * scale, s * kLanes, never);
    store_aligned(at, z);
    max = xsimd::max(max, z);
  }
  const Vec most(horizontal_max(max));
  Vec sum(0.f);
  for (std::size_t begin = 0; begin < strips; begin += kChainVectors) {
    Vec part(0.f);
    for (std::size_t s = begin; s < smaller(begin + kChainVectors, strips); ++s) {
      float* at = row + s * a.scores.stride;
      const Vec e = visible.seen(bounded_exp(load_aligned(at) - most), s * kLanes, Vec(0.f));
      store_aligned(at, e);
      part = part + e;
    }
    sum = sum + part;
  }
  const float total = horizontal_sum(sum);
  const Vec share(total == 0.f ? 0.f : 1.f / total);
  for (std::size_t s = 0; s < strips; ++s) {
    float* at = row + s * a.scores.stride;
    store_aligned(at, load_aligned(at) * share);
  }
  for (std::size_t s = strips; s * kLanes < a.scores.cols; ++s)
    store_aligned(row + s * a.scores.stride, Vec(0.f));
}

}  // namespace

void transpose_strips(const ConstStrips& source, const Strips& target) noexcept {
  for (std::size_t column = 0; column < target.cols; column += kLanes) {
    const std::size_t height = smaller(target.cols - column, kLanes);
    for (std::size_t row = 0; row < target.rows; row += kLanes) {
      const std::size_t width = smaller(target.rows - row, kLanes);
      const float* from = source.data + row / kLanes * source.stride + column * kLanes;
      float* to = target.data + column / kLanes * target.stride + row * kLanes;
      Vec block[kLanes];
      for (std::size_t i = 0; i < kLanes; ++i)
        block[i] = i < height ? load_aligned(from + i * kLanes) : Vec(0.f);
      transpose(block);
      for (std::size_t i = 0; i < width; ++i) store_aligned(to + i * kLanes, block[i]);
    }
  }
}

void masked_softmax(const MaskedSoftmaxArguments& a) noexcept {
  for (std::size_t r = 0; r < a.scores.rows; ++r)
    softmax_row(a, a.scores.data + r * kLanes, {a, a.causal ? smaller(r + 1, a.scores.cols) : a.scores.cols});
}

void softmax_backward(const ConstStrips& p, float scale, const Strips& delta) noexcept {
  for (std::size_t r = 0; r < p.rows; ++r) {
    const float* probabilities = p.data + r * kLanes;
    float* row = delta.data + r * kLanes;
    Vec sum(0.f);
    for (std::size_t s = 0; s * kLanes < p.cols; ++s) {
      const std::size_t count = smaller(p.cols - s * kLanes, kLanes);
      float* at = row + s * delta.stride;
      const Vec d = count == kLanes ? load_aligned(at) : keep_first(load_aligned(at), count);
      store_aligned(at, d);
      sum = multiply_add(load_aligned(probabilities + s * p.stride), d, sum);
    }
    const Vec mean(horizontal_sum(sum)), factor(scale);
    for (std::size_t s = 0; s * kLanes < p.cols; ++s) {
      float* at = row + s * delta.stride;
      store_aligned(at, (load_aligned(at) - mean) * (load_aligned(probabilities + s * p.stride) * factor));
    }
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
