// What kernel sources share: the level's vector type and the few operations xsimd 8 lacks or gets wrong.
// Included only by the sources of kernels/impl, each compiled once per level with FISHERDIAG_KERNEL_NAMESPACE
// set. No containers, algorithms or streams here: the linker may keep one level's copy of an inline function
// for all.
#pragma once

#include <cstddef>
#include <xsimd/xsimd.hpp>

#include "fisherdiag/kernels/table.hpp"

#if defined(__GNUC__)
#define FISHERDIAG_INLINE inline __attribute__((always_inline))
#else
#define FISHERDIAG_INLINE inline
#endif

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

#if defined(__AVX512F__)
using Arch = xsimd::avx512bw;
#elif defined(__AVX2__)
using Arch = xsimd::fma3<xsimd::avx2>;
#else
using Arch = xsimd::default_arch;
#endif

using Vec = xsimd::batch<float, Arch>;
using VecD = xsimd::batch<double, Arch>;
inline constexpr std::size_t kLanes = Vec::size;

/// a * b + c in one rounding where the level has it. xsimd 8 emits two instructions for AVX-512.
FISHERDIAG_INLINE Vec multiply_add(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#else
  return xsimd::fma(a, b, c);
#endif
}

FISHERDIAG_INLINE float horizontal_sum(Vec v) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::reduce_add(v);
#else
  return xsimd::hadd(v);
#endif
}

FISHERDIAG_INLINE double horizontal_sum(VecD v) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::reduce_add(v);
#else
  return xsimd::hadd(v);
#endif
}

FISHERDIAG_INLINE Vec load(const float* p) {
  return Vec::load_unaligned(p);
}
FISHERDIAG_INLINE Vec load_aligned(const float* p) {
  return Vec::load_aligned(p);
}
FISHERDIAG_INLINE void store(float* p, Vec v) {
  v.store_unaligned(p);
}
FISHERDIAG_INLINE void store_aligned(float* p, Vec v) {
  v.store_aligned(p);
}

FISHERDIAG_INLINE float horizontal_max(Vec v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps(v);
#else
  alignas(64) float lanes[kLanes];
  store_aligned(lanes, v);
  for (std::size_t width = kLanes / 2; width > 0; width /= 2)
    for (std::size_t i = 0; i < width; ++i)
      lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
  return lanes[0];
#endif
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
