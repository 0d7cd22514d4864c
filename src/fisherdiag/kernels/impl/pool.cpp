// Contracts: kernels/pool.hpp.
#include "fisherdiag/kernels/pool.hpp"

#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// Calls f(strip, floats to the sample's first input row, floats to the output row, its place) for every
/// vector of the output.
template <class F>
FISHERDIAG_INLINE void for_places(const PoolWindows& w, const ConstStrips& output, const F& f) {
  const std::size_t samples = output.rows / w.places;
  for (std::size_t strip = 0; strip * kLanes < output.cols; ++strip)
    for (std::size_t n = 0; n < samples; ++n)
      for (std::size_t t = 0; t < w.places; ++t)
        f(strip, n * w.input_positions * kLanes, (n * w.places + t) * kLanes, t);
}

}  // namespace

void max_pool(const PoolWindows& w, const ConstStrips& input, const Strips& output) noexcept {
  for_places(w, output, [&](std::size_t strip, std::size_t sample, std::size_t at, std::size_t t) {
    const float* in = input.data + strip * input.stride + sample;
    const auto seen = [&](std::int32_t j) {
      return load_aligned(in + static_cast<std::size_t>(w.positions[j]) * kLanes);
    };
    Vec largest = seen(w.begin[t]);
    for (std::int32_t j = w.begin[t] + 1; j < w.begin[t + 1]; ++j) {
      const Vec x = seen(j);
      // A value that is no number is the largest, so that it is not lost on the way to the check.
      largest = xsimd::select((x > largest) | xsimd::isnan(x), x, largest);
    }
    store_aligned(output.data + strip * output.stride + at, largest);
  });
}

namespace {

template <bool Write>
void back_to_largest(const MaxPoolBackwardArguments& g) {
  const PoolWindows& w = g.windows;
  for_places(w, g.output, [&](std::size_t strip, std::size_t sample, std::size_t at, std::size_t t) {
    const float* in = g.input.data + strip * g.input.stride + sample;
    float* to = g.below.data + strip * g.below.stride + sample;
    const Vec largest = load_aligned(g.output.data + strip * g.output.stride + at);
    Vec left = load_aligned(g.delta.data + strip * g.delta.stride + at);
    for (std::int32_t j = w.begin[t]; j < w.begin[t + 1]; ++j) {
      const std::size_t row = static_cast<std::size_t>(w.positions[j]) * kLanes;
      const auto won = load_aligned(in + row) == largest;
      const Vec own = xsimd::select(won, left, Vec(0.f));
      store_aligned(to + row, Write ? own : load_aligned(to + row) + own);
      left = xsimd::select(won, Vec(0.f), left);
    }
  });
}

}  // namespace

void max_pool_backward(const MaxPoolBackwardArguments& g) noexcept {
  g.write ? back_to_largest<true>(g) : back_to_largest<false>(g);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
