// Layer norm and RMS norm on strips: each row's features are brought to a common size.
#pragma once

#include <cstddef>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// With u = (x - mean) / sqrt(variance + eps) over the features of a row (mean 0 unless `centred`):
///
///   output = scale u + shift
///
/// Shapes    input and output [R, F]; scale and shift F floats in whole vectors, 0 past F. Padding columns of
///           output become 0, those of input do not matter.
/// Accuracy  the mean is corrected by the mean of what is left after subtracting it, so that u is good to a
///           few 2^-24 max |u| and the rounding of x - mean.
struct RowNormArguments {
  ConstStrips input;
  const float* scale = nullptr;
  const float* shift = nullptr;
  bool centred = true;
  float eps = 0;
  Strips output;
};
using RowNormForward = void(const RowNormArguments&) noexcept;

/// The way back, for rows of one sample: with g = scale d
///
///   below = [below +] (g - mean(g) - u mean(g u)) / sqrt(variance + eps)     mean(g) only if `centred`
///   scale_gradient[c] += sum_r d(r, c) u(r, c),   shift_gradient[c] += sum_r d(r, c)
///
/// below without data, gradients that are nullptr: not wanted. Gradients have F floats, no more.
struct RowNormBackwardArguments {
  ConstStrips input, delta;
  const float* scale = nullptr;
  bool centred = true;
  float eps = 0;
  Strips below;
  bool add = false;
  float* scale_gradient = nullptr;
  float* shift_gradient = nullptr;
};
using RowNormBackward = void(const RowNormBackwardArguments&) noexcept;

}  // namespace fisherdiag::kernels
