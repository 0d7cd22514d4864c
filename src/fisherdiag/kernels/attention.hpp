// What attention does between its products, on strips.
#pragma once

#include <cstddef>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// target(r, c) = source(c, r); padding columns of target become 0. Shapes [R, C] of target, [C, R] of
/// source; they do not overlap.
using TransposeStrips = void(const ConstStrips& source, const Strips& target) noexcept;

/// Scores become probabilities, row by row: p(r, c) = exp(scale z(r, c)) / sum of those over the columns row
/// r may see; 0 for all others, which is every one where it may see none. Padding columns become 0.
///
/// Sees      column c < columns unless `causal` and c > r, or `allowed` is given and allowed[c] == 0.
/// Accuracy  with finite scores, relative error of each p <= 2^-24 (|scale z - max| + columns / (16 lanes) +
///           24); below e^-87 of the row's largest it may be 0.
struct MaskedSoftmaxArguments {
  Strips scores;  ///< in place
  float scale = 1;
  bool causal = false;
  const float* allowed = nullptr;  ///< columns in whole vectors; nullptr: all
};
using MaskedSoftmax = void(const MaskedSoftmaxArguments&) noexcept;

/// From the sensitivities of probabilities p to those of the scores: delta(r, c) becomes
/// scale p(r, c) (delta(r, c) - sum_c p(r, c) delta(r, c)). Padding columns of p must be 0, those of delta
/// finite or not counted: they become 0.
using SoftmaxBackward = void(const ConstStrips& p, float scale, const Strips& delta) noexcept;

}  // namespace fisherdiag::kernels
