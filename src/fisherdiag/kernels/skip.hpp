// Products that leave out the zeros of their left operand.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fisherdiag/kernels/gemm.hpp"
#include "fisherdiag/kernels/outer.hpp"

namespace fisherdiag::kernels {

/// One element of the left operand that is not zero, and where its row of the packed right operand starts.
struct NonZero {
  float value;
  std::uint32_t offset;
};

/// Rows and depth of the left operand whose non-zero elements are listed at a time.
inline constexpr std::size_t kSkipRows = 256;
inline constexpr std::size_t kSkipDepth = kChain;
/// Pieces of the depth at most, at any level.
inline constexpr std::size_t kSkipPieces = 8;

/// Strips a result needs to repay the listing of its left operand.
inline constexpr std::size_t kSkipLeastStrips = 16;

/// Room for the lists: kSkipRows * kSkipDepth entries and kSkipRows * kSkipPieces counts. Contents do not
/// matter.
struct SkipScratch {
  NonZero* entries = nullptr;
  std::uint32_t* counts = nullptr;
};

/// The same as Gemm, SquaredOuter and Outer, and the same bits: adding the product of a zero and a finite
/// number changes no sum (at most the sign of a zero). What would have been NaN because a zero met an
/// infinity in `b` or `right` stays a number.
///
/// The share of elements of the left operand (a, left) that are not zero is measured on a quarter of it;
/// above the level's limit, and for results too narrow to repay the lists, the dense kernel runs.
/// scratch.entries == nullptr asks for the dense kernel. Only that one asks for what lies alongside.
///
/// Cost      2 x (non-zero elements of the left operand) x columns of the result, at about two thirds of the
///           dense rate, because each multiply-add fetches its vector (docs/performance.md, "Zeros").
using GemmSkip = void(const GemmArguments&, const SkipScratch& scratch) noexcept;
using SquaredOuterSkip = void(const ConstStrips& left, const ConstStrips& right, const OuterRange& range,
                              double* fisher, std::size_t stride, const SkipScratch& scratch) noexcept;
using OuterSkip = void(const ConstStrips& left, const ConstStrips& right, const OuterRange& range,
                       float scale, float* target, std::size_t stride, const SkipScratch& scratch,
                       const Alongside& alongside) noexcept;
using AddOuterSkip = void(const ConstStrips& left, const ConstStrips& right, bool first, float* target,
                          std::size_t stride, const SkipScratch& scratch) noexcept;

}  // namespace fisherdiag::kernels
