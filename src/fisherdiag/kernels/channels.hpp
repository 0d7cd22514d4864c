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

/// output(r, c) = [output +] scale[c] input(r, c) + shift[c]; scale == nullptr: 1, shift == nullptr: 0.
/// Both have whole vectors of floats.
using ScaleColumns = void(const ConstStrips& input, const float* scale, const float* shift, bool add,
                          const Strips& output) noexcept;

}  // namespace fisherdiag::kernels
