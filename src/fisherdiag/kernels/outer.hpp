// Sums of outer products over samples, plain or of squared operands.
#pragma once

#include <cstddef>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// Part of a row-major matrix: rows [row_begin, row_end) x column strips [strip_begin, strip_end).
/// row_begin must be a multiple of the table's lanes.
struct OuterRange {
  std::size_t row_begin;
  std::size_t row_end;
  std::size_t strip_begin;
  std::size_t strip_end;
};

/// fisher[o * stride + i] += sum_n left(n, o) right(n, i)
///
/// With left = Q (squared sensitivities summed over seeds) and right = A^2 (squared activations) this is the
/// exact sum of squared per-sample gradients of y = W a + b: sample n's gradient is the outer product d_n
/// a_n^T, whose square factorises, so no per-sample gradient is ever formed (BackPACK, arXiv:1912.10985).
///
/// Shapes    left [N, O], right [N, I] in strips with the same N <= kChain; fisher [O, I] row-major doubles.
/// Order     one float chain over n = 0..N-1 for each element, then one addition to the double: same bits for
/// any
///           split into ranges.
/// Accuracy  relative error <= gamma(N+1), u = 2^-24: terms are >= 0, nothing cancels.
/// Cost      2 N O I flop.
using SquaredOuter = void(const ConstStrips& left, const ConstStrips& right, const OuterRange& range,
                          double* fisher, std::size_t stride) noexcept;

/// Arrays the caller uses right after a product where its target is: while the products are summed, the cache
/// is asked for arrays[a][o * stride + i], the companions of target element (o, i). They are not read.
struct Alongside {
  static constexpr std::size_t kMost = 5;  // an Adam step with a penalty
  const float* arrays[kMost] = {};
  std::size_t count = 0;
  std::size_t stride = 0;
};

/// target[o * stride + i] = scale * sum_n left(n, o) right(n, i): the weight gradient of a batch.
using Outer = void(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, float scale,
                   float* target, std::size_t stride, const Alongside& alongside) noexcept;

/// target[o * stride + i] += sum_n left(n, o) right(n, i), the chain of each element going on where the
/// target's float stands; with `first` it starts at zero. For targets that fit a cache and take a chain in
/// several pieces: pieces added one after the other give the bits of one SquaredOuter chain.
///
/// Shapes    left [N, O], right [N, I] in strips; target [O, stride], stride a multiple of the lanes and >= I
/// rounded up
///           to them, aligned to a vector. Padding columns receive what right's padding holds.
using AddOuter = void(const ConstStrips& left, const ConstStrips& right, bool first, float* target,
                      std::size_t stride) noexcept;

/// Samples per float chain before its sum goes to a double (docs/numerics.md).
inline constexpr std::size_t kChain = 512;

}  // namespace fisherdiag::kernels
