// Products that leave out the zeros of their left operand.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fisherdiag/kernels/gemm.hpp"
#include "fisherdiag/kernels/outer.hpp"
#include "fisherdiag/kernels/window.hpp"

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

/// Room for the lists and sums of one sample of a grid. Contents do not matter. Samples that need more entries
/// than kMostGridEntries are not for these kernels.
struct GridSkipScratch {
  NonZero* entries = nullptr;       ///< grid_gram_entries() or grid_gemm_entries()
  std::uint32_t* starts = nullptr;  ///< of grid_gemm_skip: one for each place of the padded grid and one more
  float* sums = nullptr;            ///< of grid_gram_squared_skip: grid_gram_sums(), on a whole vector
};

inline constexpr std::size_t kMostGridEntries = std::size_t{1} << 20;
/// Entries from one column's list to the next: a cache line more than needed, or lists a power of two apart
/// would compete for the same cache sets.
constexpr std::size_t grid_gram_list(std::size_t positions, std::size_t lanes) {
  return (positions + lanes - 1) / lanes * lanes + 64 / sizeof(NonZero);
}
/// Entries for the left operand's columns of one strip.
constexpr std::size_t grid_gram_entries(std::size_t positions, std::size_t lanes) {
  return lanes * grid_gram_list(positions, lanes);
}
constexpr std::size_t grid_gram_sums(std::size_t strips, std::size_t lanes) {
  return lanes * strips * lanes;
}
/// Entries for all numbers of a sample's padded grid.
constexpr std::size_t grid_gemm_entries(std::size_t sample_floats, std::size_t lanes) {
  return sample_floats + lanes;
}

/// The same as GridGramSquared and GridGemm, and the same bits, without the products with zeros of `left` and
/// of the grid: where a largest-value pooling sends a sensitivity back, one position of its window has one.
///
/// The share of elements that are not zero is measured on a seventh of `left` (`from`, the matrix the grid is
/// a copy of). Where listing, fetching and small shapes cost more than it leaves out, where traces are
/// wanted, and with scratch.entries == nullptr the dense kernel runs.
///
/// Cost      2 x (non-zero elements) x columns that each is multiplied by.
using GridGramSquaredSkip = void(const GridGramArguments&, const GridSkipScratch& scratch) noexcept;
/// `features`: numbers of each place of the grid; offsets, bases and runs are multiples of it.
using GridGemmSkip = void(const GridGemmArguments&, const ConstStrips& from, std::size_t features,
                          const GridSkipScratch& scratch) noexcept;

}  // namespace fisherdiag::kernels
