// Walks arrays of any length and alignment a vector at a time without touching what lies past their end.
#pragma once

// g++ 12 warns of its own intrinsics' undefined vectors (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

#if defined(__AVX512F__)
FISHERDIAG_INLINE __mmask16 lane_mask(std::size_t count) {
  return static_cast<__mmask16>((1u << count) - 1u);
}
#elif defined(__AVX2__)
FISHERDIAG_INLINE __m256i lane_mask(std::size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

/// p[0..count) in the first lanes, `fill` in the others; count <= kLanes. Reads only p[0..count).
FISHERDIAG_INLINE Vec load_partial(const float* p, std::size_t count, float fill = 0) {
#if defined(__AVX512F__)
  return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), lane_mask(count), p);
#elif defined(__AVX2__)
  const __m256i mask = lane_mask(count);
  return _mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
#else
  alignas(64) float lanes[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = i < count ? p[i] : fill;
  return load_aligned(lanes);
#endif
}

/// Writes the first `count` lanes to p[0..count) and nothing else.
FISHERDIAG_INLINE void store_partial(float* p, Vec v, std::size_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, lane_mask(count), v);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(p, lane_mask(count), v);
#else
  alignas(64) float lanes[kLanes];
  store_aligned(lanes, v);
  for (std::size_t i = 0; i < count; ++i) p[i] = lanes[i];
#endif
}

/// v with 0 in the lanes from `count` on.
FISHERDIAG_INLINE Vec keep_first(Vec v, std::size_t count) {
#if defined(__AVX512F__)
  return _mm512_maskz_mov_ps(lane_mask(count), v);
#elif defined(__AVX2__)
  return _mm256_and_ps(v, _mm256_castsi256_ps(lane_mask(count)));
#else
  alignas(64) float lanes[kLanes];
  store_aligned(lanes, v);
  return load_partial(lanes, count);
#endif
}

/// How a sweep's body reads and writes: a whole vector, or the last few elements.
struct WholeVector {
  FISHERDIAG_INLINE Vec load(const float* p) const { return kernels::FISHERDIAG_KERNEL_NAMESPACE::load(p); }
  FISHERDIAG_INLINE void store(float* p, Vec v) const { kernels::FISHERDIAG_KERNEL_NAMESPACE::store(p, v); }
};
struct PartialVector {
  std::size_t count;
  FISHERDIAG_INLINE Vec load(const float* p) const { return load_partial(p, count); }
  FISHERDIAG_INLINE void store(float* p, Vec v) const { store_partial(p, v, count); }
};

/// body(i, access) for i = 0, kLanes, 2 kLanes, ... < n: access loads and stores the elements from i on.
template <class Body>
FISHERDIAG_INLINE void sweep(std::size_t n, const Body& body) {
  std::size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    body(i, WholeVector{});
    body(i + kLanes, WholeVector{});
    body(i + 2 * kLanes, WholeVector{});
    body(i + 3 * kLanes, WholeVector{});
  }
  for (; i + kLanes <= n; i += kLanes) body(i, WholeVector{});
  if (i < n) body(i, PartialVector{n - i});
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
