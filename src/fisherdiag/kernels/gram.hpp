// Squares of per-sample gradients whose weight is used at many positions of a sample.
#pragma once

#include <cstddef>

#include "fisherdiag/kernels/outer.hpp"

namespace fisherdiag::kernels {

/// fisher[o * stride + i] += sum_n w_n ( sum_t left(n T + t, o) right(n T + t, i) )^2
///
/// The gradient of a weight that sample n uses at T positions is the sum over them of d_t a_t^T: it is added
/// up in registers, squared there and forgotten. Taking positions for samples would lose the cross terms.
///
/// Shapes    left [N T, O], right [N T, I] in strips, rows of a sample one after the other; fisher [O, I]
///           row-major doubles. weights: N numbers, or nullptr for all 1.
/// Order     for each element one float chain over t for each sample, one float chain over the squares of up
///           to kChain samples, then one addition to the double: same bits for any split into ranges.
/// Accuracy  of a sample's gradient gamma(T) sum_t |left right|; of the sum of squares gamma(N + 2), its
///           terms are >= 0. u = 2^-24.
/// Cost      2 N (T + 1) O I flop.
struct GramArguments {
  ConstStrips left;
  ConstStrips right;
  std::size_t positions = 1;  ///< T; the rows are a multiple of it
  const float* weights = nullptr;
  OuterRange range{};
  double* fisher = nullptr;
  std::size_t stride = 0;
};
using GramSquared = void(const GramArguments&) noexcept;

}  // namespace fisherdiag::kernels
