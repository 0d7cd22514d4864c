// Contracts: NormForward and NormBackward of kernels/channels.hpp.
#include "fisherdiag/kernels/channels.hpp"
#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// Positions added in float at a time.
constexpr std::size_t kShortChain = 16;

/// One strip of the matrices; nullptr: not there.
struct BackwardStrip {
  const float *input, *output, *delta;
  float *other, *below;
  Vec scale, center;
  bool add_other, add_below;
};

struct Sums {
  Vec delta = Vec(0.f), product = Vec(0.f);
};

/// One vector of a strip.
template <bool Relu, bool WithSums>
FISHERDIAG_INLINE void step(const BackwardStrip& s, std::size_t at, Sums& sums) {
  Vec d = load_aligned(s.delta + at);
  if (Relu) d = xsimd::select(load_aligned(s.output + at) > Vec(0.f), d, Vec(0.f));
  if (WithSums) {
    sums.delta += d;
    sums.product += d * (load_aligned(s.input + at) - s.center);
  }
  if (s.other) store_aligned(s.other + at, s.add_other ? load_aligned(s.other + at) + d : d);
  if (!s.below) return;
  const Vec own = d * s.scale;
  store_aligned(s.below + at, s.add_below ? load_aligned(s.below + at) + own : own);
}

/// Rows [begin, end) of a strip; their sums are added to kLanes doubles each.
template <bool Relu, bool WithSums>
void backward_rows(const BackwardStrip& s, std::size_t begin, std::size_t end, double* delta,
                   double* product) {
  for (std::size_t first = begin; first < end; first += kShortChain) {
    Sums sums;
    const std::size_t last = smaller(first + kShortChain, end);
    for (std::size_t r = first; r < last; ++r) step<Relu, WithSums>(s, r * kLanes, sums);
    if (!WithSums) continue;
    alignas(64) float parts[2 * kLanes];
    store_aligned(parts, sums.delta);
    store_aligned(parts + kLanes, sums.product);
    for (std::size_t i = 0; i < kLanes; ++i) {
      delta[i] += static_cast<double>(parts[i]);
      product[i] += static_cast<double>(parts[kLanes + i]);
    }
  }
}

template <bool Relu, bool WithSums>
void backward_strip(const NormBackwardArguments& a, const BackwardStrip& s, std::size_t strip,
                    std::size_t padded) {
  double none[1] = {};
  for (std::size_t n = 0; n * a.positions < a.delta.rows; ++n) {
    double* delta = WithSums ? a.sums + 2 * n * padded + strip * kLanes : none;
    double* product = WithSums ? delta + padded : none;
    if (WithSums)
      for (std::size_t i = 0; i < kLanes; ++i) delta[i] = product[i] = 0;
    backward_rows<Relu, WithSums>(s, n * a.positions, (n + 1) * a.positions, delta, product);
  }
}

template <class T>
FISHERDIAG_INLINE T* strip_of(const StripsOf<T>& m, std::size_t strip) {
  return m.data ? m.data + strip * m.stride : nullptr;
}

}  // namespace

void norm_forward(const NormForwardArguments& a) noexcept {
  for (std::size_t strip = 0; strip * kLanes < a.input.cols; ++strip) {
    const Vec scale = load(a.scale + strip * kLanes), shift = load(a.shift + strip * kLanes);
    const float* from = strip_of(a.input, strip);
    const float* other = strip_of(a.other, strip);
    float* to = strip_of(a.output, strip);
    for (std::size_t r = 0; r < a.input.rows * kLanes; r += kLanes) {
      Vec y = multiply_add(load_aligned(from + r), scale, shift);
      if (other) y = y + load_aligned(other + r);
      store_aligned(to + r, a.relu ? xsimd::max(y, Vec(0.f)) : y);
    }
  }
}

void norm_backward(const NormBackwardArguments& a) noexcept {
  const std::size_t strips = (a.delta.cols + kLanes - 1) / kLanes;
  for (std::size_t strip = 0; strip < strips; ++strip) {
    const BackwardStrip s{strip_of(a.input, strip),
                          strip_of(a.output, strip),
                          strip_of(a.delta, strip),
                          strip_of(a.other, strip),
                          strip_of(a.below, strip),
                          load(a.scale + strip * kLanes),
                          load(a.center + strip * kLanes),
                          a.add_other,
                          a.add_below};
    const std::size_t padded = strips * kLanes;
    if (s.output && a.sums)
      backward_strip<true, true>(a, s, strip, padded);
    else if (s.output)
      backward_strip<true, false>(a, s, strip, padded);
    else if (a.sums)
      backward_strip<false, true>(a, s, strip, padded);
    else
      backward_strip<false, false>(a, s, strip, padded);
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
