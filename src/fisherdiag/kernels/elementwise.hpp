// Optimiser steps and column sums: one sweep over memory each.
#pragma once

#include <cstddef>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// A penalty lambda/2 sum fisher (theta - anchor)^2 fused into an optimiser step: the step then uses
/// gradient + lambda fisher (theta - anchor) without writing it. anchor == nullptr: no penalty;
/// fisher == nullptr with an anchor: all ones (the L2 penalty).
struct StepPenalty {
  const float* anchor = nullptr;
  const float* fisher = nullptr;
  float lambda = 0;
};

/// Stochastic gradient descent with momentum as in PyTorch: v <- momentum v + g; theta <- theta - rate v.
/// velocity may be nullptr when momentum is 0.
struct SgdArguments {
  float* theta;
  const float* gradient;
  float* velocity;
  std::size_t n;
  float rate;
  float momentum;
  StepPenalty penalty;
};
using SgdStep = void(const SgdArguments&) noexcept;

/// Adam (Kingma and Ba 2015, algorithm 1): m <- b1 m + (1-b1) g; v <- b2 v + (1-b2) g^2;
/// theta <- theta - rate * (m * correction1) / (sqrt(v * correction2) + epsilon), correction = 1 / (1 -
/// b^step).
struct AdamArguments {
  float* theta;
  const float* gradient;
  float* first;
  float* second;
  std::size_t n;
  float rate;
  float beta1;
  float beta2;
  float epsilon;
  float correction1;
  float correction2;
  StepPenalty penalty;
};
using AdamStep = void(const AdamArguments&) noexcept;

/// sums[j] += sum over rows r = 0..rows-1, in order, of m(r, j); the partial sum in float, then added to
/// double. `squared`: of m(r, j)^2. sums has m.cols entries.
using ColumnSums = void(const ConstStrips& m, bool squared, double* sums) noexcept;

}  // namespace fisherdiag::kernels
