// Products with a convolution's patches that are never gathered: they are read where they lie in a padded
// grid (kernels/pieces.hpp), in which a row of the kernel and its channels are one run of numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// The patch of row n * positions + t starts at grid + n * sample_floats + bases[t].
struct GridRows {
  const float* grid = nullptr;
  const std::int32_t* bases = nullptr;  ///< [positions]
  std::size_t positions = 0;            ///< of a sample, on the side that sees
  std::size_t sample_floats = 0;
};

/// Numbers [offset, offset + length) from a patch's start are its next `length` columns.
struct GridRun {
  std::int32_t offset = 0;
  std::int32_t length = 0;
};

/// c(r, j) = [c(r, j) +] sum_k patch(r, k) b(k, j) + bias[j], where patch r is the runs one after the other.
///
/// Shapes    c [whole samples, J] and b [sum of the runs' lengths, J] in strips; bias has J floats padded to
///           whole vectors, or nullptr. Rows of c past its last are not written, padding columns may be.
/// Order     each c(r, j) is one chain of multiply-adds over k, from c or zero: the same bits for any split
/// of
///           rows and all levels with a fused multiply-add.
/// Accuracy  as gemm. Cost 2 M K J flop; nothing but operands is read.
struct GridGemmArguments {
  GridRows rows;
  const GridRun* runs = nullptr;
  std::size_t run_count = 0;
  ConstStrips b;
  Strips c;
  const float* bias = nullptr;
  bool add = false;
};
using GridGemm = void(const GridGemmArguments&) noexcept;

/// Up to a vector of neighbouring columns of a matrix: `count` numbers from the patch's `offset` on are its
/// columns from `column` on.
struct GridStrip {
  std::int32_t offset = 0;
  std::int32_t column = 0;
  std::int32_t count = 0;
};

/// fisher[o * stride + column + i] += sum_n ( sum_t left(n T + t, o) patch(n T + t)[offset + i] )^2 for every
/// strip's i < count: gram_squared with patches on the right.
///
/// Shapes    left [samples * T, O] in strips; `grid` can be read one vector past what the strips cover.
/// Order, accuracy, cost  as gram_squared.
struct GridGramArguments {
  ConstStrips left;
  GridRows right;
  const GridStrip* strips = nullptr;
  std::size_t strip_count = 0;
  double* fisher = nullptr;
  std::size_t stride = 0;
  double* traces = nullptr;  ///< as GramArguments
};
using GridGramSquared = void(const GridGramArguments&) noexcept;

}  // namespace fisherdiag::kernels
