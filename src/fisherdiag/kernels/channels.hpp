// Elementwise operations of a network's layers on strips.
#pragma once

#include <cstddef>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// Functions of one number. Gelu is the exact one, x Phi(x), with the normal distribution function Phi.
enum class Function { Identity, Relu, Relu6, Tanh, Sigmoid, Gelu, Silu };

/// output = f(input). Shapes equal; every vector of the rows is written, padding columns included.
/// Accuracy  relative error of f about 2^-21 (tanh, sigmoid, gelu, silu), exact for the others.
using Activate = void(Function f, const ConstStrips& input, const Strips& output) noexcept;

/// below = [below +] delta * f'(input); `add` keeps what is there.
/// At a corner (0 of relu, 0 and 6 of relu6) f' is 0, as in PyTorch.
using ActivateBackward = void(Function f, const ConstStrips& input, const ConstStrips& delta, bool add,
                              const Strips& below) noexcept;

/// output = f(input), and input becomes f'(input): most of what a smooth function's derivative takes is its
/// value. Then the way back is below = [below +] delta * slope.
using ActivateKeepingSlope = void(Function f, const Strips& input, const Strips& output) noexcept;
using MultiplySlope = void(const ConstStrips& slope, const ConstStrips& delta, bool add,
                           const Strips& below) noexcept;

/// output(r, c) = [output +] scale[c] input(r, c) + shift[c]; scale == nullptr: 1, shift == nullptr: 0.
/// Both have whole vectors of floats.
using ScaleColumns = void(const ConstStrips& input, const float* scale, const float* shift, bool add,
                          const Strips& output) noexcept;

/// What follows a convolution, in one sweep: output = f(scale[c] x(r, c) + shift[c] + other(r, c)), f the
/// positive part if `relu`. other without data: none. The bits are those of ScaleColumns, a sum and Activate.
struct NormForwardArguments {
  ConstStrips input;
  const float* scale = nullptr;  ///< whole vectors, as shift
  const float* shift = nullptr;
  ConstStrips other;
  bool relu = false;
  Strips output;
};
using NormForward = void(const NormForwardArguments&) noexcept;

/// The way back: d = delta, or where `output` has data and is not positive 0; other = [other +] d, below =
/// [below +] scale[c] d, if they have data. For each sample of `positions` rows n:
///
///   sums[2 n S + c] = sum_r d(r, c),  sums[(2 n + 1) S + c] = sum_r d(r, c) (input(r, c) - center[c])
///
/// with S = the padded columns, in chains of 16 floats added in double. sums == nullptr: not wanted.
struct NormBackwardArguments {
  ConstStrips input, output, delta;
  const float* scale = nullptr;
  const float* center = nullptr;  ///< whole vectors
  std::size_t positions = 1;      ///< the rows are a multiple of it
  double* sums = nullptr;
  Strips other, below;
  bool add_other = false, add_below = false;
};
using NormBackward = void(const NormBackwardArguments&) noexcept;

}  // namespace fisherdiag::kernels
