// The exponential where its argument is known not to be large, which takes half of the steps of a general
// one.
#pragma once

#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

/// exp(x) for x <= 80; 0 or tiny below -87. Relative error 2^-23: x = n log 2 + r, |r| <= log(2) / 2, and
/// e^r = 1 + r + r^2 q(r) with a q fitted to the least relative error, 2^-28.
FISHERDIAG_INLINE Vec bounded_exp(Vec x) {
  constexpr float kLeast = -87.f;
  constexpr float kLog2Upper = 0.693359375f, kLog2Lower = -2.12194440e-4f;  // log 2 in two parts
  // In this order a NaN stays one.
  const Vec bounded = xsimd::max(Vec(kLeast), x);
  const Vec n = xsimd::nearbyint(bounded * Vec(1.44269504f));
  const Vec r = multiply_add(n, Vec(-kLog2Lower), multiply_add(n, Vec(-kLog2Upper), bounded));
  Vec q = multiply_add(r, Vec(0.00138144090f), Vec(0.00836877991f));
  q = multiply_add(q, r, Vec(0.0416683964f));
  q = multiply_add(q, r, Vec(0.166665196f));
  q = multiply_add(q, r, Vec(0.49999994f));
  const Vec e = multiply_add(q, r * r, r) + Vec(1.f);
#if defined(__AVX512F__)
  const Vec scaled = _mm512_scalef_ps(e, n);
#else
  const Vec scaled = xsimd::ldexp(e, xsimd::to_int(n));
#endif
  return xsimd::select(x < Vec(kLeast), Vec(0.f), scaled);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
