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
/// Traces    traces[n] += the sum of sample n's squares over the range: one float chain for each column and
/// up
///           to 256 rows, then doubles.
/// Order     for each element one float chain over t for each sample, one float chain over the squares of up
///           to kChain samples, then one addition to the double: same bits for any split into ranges.
/// Accuracy  of a sample's gradient gamma(T) sum_t |left right|; of the sum of squares gamma(N + 2), its
///           terms are >= 0. u = 2^-24.
/// Cost      2 N (T + 1) O I flop; with traces 2 N (T + 2) O I.
struct GramArguments {
  ConstStrips left;
  ConstStrips right;
  std::size_t positions = 1;  ///< T; the rows are a multiple of it
  const float* weights = nullptr;
  OuterRange range{};
  double* fisher = nullptr;
  std::size_t stride = 0;
  double* traces = nullptr;  ///< N numbers, or nullptr; not with weights
};
using GramSquared = void(const GramArguments&) noexcept;

/// What squares are multiplied by before they are squared again: they are often far below 1.
inline constexpr float kSquareScale = 0x1p20f;

/// squares[o * stride + i] += sum_n ( kSquareScale sum_k ( sum_t left_k(n T + t, o) right_k(n T + t, i) )^2
/// )^2
///
/// The square of what sample n adds to F over its seeds k, for standard errors: where a weight is used at
/// many positions the seeds' squares have to meet in one place before they are squared, which is a register.
///
/// Shapes    as GramSquared, for each seed; squares [O, I] row-major doubles.
/// Order     for each element one float chain over t, one over k, one over up to kChain samples, then one
///           addition to the double: same bits for any split into ranges.
/// Accuracy  sample n's term counts as 0 where what it adds to F is below 2^-83, and is infinite above 2^43.
/// Cost      2 N (K (T + 1) + 1) O I flop.
struct GramSquaresArguments {
  const ConstStrips* lefts;   ///< one for each seed
  const ConstStrips* rights;  ///< one for each seed
  std::size_t seeds;
  std::size_t positions;  ///< T; the rows are a multiple of it
  OuterRange range;
  double* squares;
  std::size_t stride;
};
using GramSquares = void(const GramSquaresArguments&) noexcept;

}  // namespace fisherdiag::kernels
