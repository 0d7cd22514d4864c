// Matrix product of strips with what follows it in a network fused in.
#pragma once

#include <cstddef>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

enum class Nonlinearity { Identity, Relu, Tanh, Sigmoid };

/// c(r, j) = f( sum_k a(r, k) b(k, j) + bias[j] )            forward:  factor == nullptr
/// c(r, j) = sum_k a(r, k) b(k, j) * f'(at factor(r', j))    backward: r' = r mod factor.rows
///
/// Shapes    a [M, K], b [K, J], c [M, J] in strips; bias has J floats padded to whole vectors, or nullptr.
/// Rows of c
///           past M and every row of padding columns up to the strip's end may be written. c overlaps no
///           input. a.rows need not be a multiple of anything. With factor, factor.rows must be a multiple of
///           kRowTile.
/// f         forward applies the nonlinearity to c; backward multiplies by its derivative, which for all of
/// these is
///           a function of the layer's output: factor holds that output (relu: factor > 0; tanh: 1 -
///           factor^2; sigmoid: factor (1 - factor)).
/// squared   if it has data: forward stores c^2; backward accumulates squared(r', j) += c(r, j)^2 over the
/// groups of
///           factor.rows rows in order, overwriting with the first group when `squared_overwrite`.
/// store_c   backward only: false leaves c holding scratch (only `squared` is wanted).
/// Order     each c(r, j) is one chain of multiply-adds over k = 0..K-1: the same bits for any split of rows
/// or
///           columns and for all levels with a fused multiply-add.
/// Accuracy  |error| <= gamma(K+1) sum_k |a b|, u = 2^-24 (Higham, Accuracy and Stability, 2nd ed.,
/// section 3.1). Cost      2 M K J flop.
struct GemmArguments {
  ConstStrips a;
  ConstStrips b;
  Strips c;
  const float* bias = nullptr;
  Nonlinearity nonlinearity = Nonlinearity::Identity;
  ConstStrips factor;
  Strips squared;
  bool squared_overwrite = true;
  std::size_t first_strip = 0;  ///< strips [first_strip, last_strip) of c are computed; last_strip 0: all
  std::size_t last_strip = 0;
};
using Gemm = void(const GemmArguments&) noexcept;

/// Rows of one register tile at every level.
inline constexpr std::size_t kRowTile = 8;

}  // namespace fisherdiag::kernels
