#include "fisherdiag/kernels/probe.hpp"

#include <cstdint>
#include <utility>

#include "fisherdiag/kernels/impl/sweep.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

// Independent chains: at least latency times units (4 * 2 on x86-64, 4 * 4 on large Arm cores), as many as
// fit in the registers beside the two factors.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr std::size_t kChains = 24;
#else
constexpr std::size_t kChains = 12;
#endif

template <std::size_t... kIndex>
FISHERDIAG_INLINE float multiply_add_rounds(std::size_t iterations, std::index_sequence<kIndex...>) {
  // Every chain tends to 1 from its own start: no overflow, no subnormals, and no two chains the compiler
  // could merge.
  const Vec factor(0.875f);
  const Vec summand(0.125f);
  Vec chains[kChains] = {Vec(1.0625f + 0.0625f * static_cast<float>(kIndex))...};
  for (std::size_t i = 0; i < iterations; ++i)
    ((chains[kIndex] = multiply_add(chains[kIndex], factor, summand)), ...);
  Vec total(0.0f);
  ((total = total + chains[kIndex]), ...);
  return horizontal_sum(total);
}

// Stores that go past the caches need no read of the target first: that read would be traffic the 12 bytes
// per element do not count (measured: 28 GB/s instead of 17 with ordinary stores).
FISHERDIAG_INLINE void stream(float* p, Vec v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, v);
#elif defined(__AVX2__)
  _mm256_stream_ps(p, v);
#elif defined(__SSE2__)
  _mm_stream_ps(p, v);
#else
  store_aligned(p, v);
#endif
}

FISHERDIAG_INLINE void finish_streaming() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace

double multiply_add_probe(std::size_t iterations) noexcept {
  // A volatile store is never removed, and with it stays all that leads to its value.
  volatile float result = multiply_add_rounds(iterations, std::make_index_sequence<kChains>{});
  (void)result;
  return 2.0 * static_cast<double>(kChains * kLanes) * static_cast<double>(iterations);
}

double triad_probe(const float* x, const float* y, float a, float* z, std::size_t n) noexcept {
  const Vec scale(a);
  const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(z) % (kLanes * sizeof(float));
  std::size_t i = 0;
  if (misaligned == 0) {
    for (; i + kLanes <= n; i += kLanes) stream(z + i, multiply_add(scale, load(x + i), load(y + i)));
    finish_streaming();
  }
  sweep(n - i, [=](std::size_t k, auto access) {
    access.store(z + i + k, multiply_add(scale, access.load(x + i + k), access.load(y + i + k)));
  });
  return 12.0 * static_cast<double>(n);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
