// What the outer products do with a finished chain of float sums.
#pragma once

#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

struct AddToDouble {
  using Target = double;
  void operator()(const float* sum, double* target, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) target[i] += static_cast<double>(sum[i]);
  }
};

struct StoreScaled {
  using Target = float;
  float scale;
  void operator()(const float* sum, float* target, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) target[i] = scale * sum[i];
  }
};

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
