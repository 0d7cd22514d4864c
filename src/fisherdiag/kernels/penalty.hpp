// The quadratic penalty of elastic weight consolidation.
#pragma once

#include <cstddef>

namespace fisherdiag::kernels {

/// Returns sum_i fisher_i (theta_i - anchor_i)^2 (without lambda/2).
///
/// Shapes    three arrays of n floats, any alignment, no overlap needed or forbidden.
/// Accuracy  squares in float, added in float lanes over at most 256 elements each, then in double.
/// Order     fixed for a level: the same bits for the same arrays.
using PenaltyValue = double(const float* theta, const float* anchor, const float* fisher,
                            std::size_t n) noexcept;

/// gradient_i += lambda fisher_i (theta_i - anchor_i). gradient overlaps none of the others.
using PenaltyGradient = void(const float* theta, const float* anchor, const float* fisher, float lambda,
                             float* gradient, std::size_t n) noexcept;

/// Both in one sweep over memory: 20 bytes per parameter.
using PenaltyValueGradient = double(const float* theta, const float* anchor, const float* fisher,
                                    float lambda, float* gradient, std::size_t n) noexcept;

}  // namespace fisherdiag::kernels
