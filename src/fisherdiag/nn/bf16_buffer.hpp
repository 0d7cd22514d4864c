// Storage for an operand of bfloat16 products.
#pragma once

#include <cstddef>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/kernels/bf16.hpp"

namespace fisherdiag {

/// Owns `vectors` vectors of `depth` elements in blocks, zero at first.
template <kernels::Bf16Order order>
class Bf16Buffer {
 public:
  using View = kernels::Bf16BlocksOf<kernels::Bf16, order>;
  using ConstView = kernels::Bf16BlocksOf<const kernels::Bf16, order>;

  Bf16Buffer() = default;
  Bf16Buffer(std::size_t vectors, std::size_t depth)
      : vectors_(vectors), depth_(depth), storage_(elements(vectors, depth)) {}

  /// Bytes of memory a buffer of this shape takes.
  static std::size_t bytes(std::size_t vectors, std::size_t depth) {
    return aligned_bytes(elements(vectors, depth) * sizeof(kernels::Bf16));
  }

  View view() { return {storage_.data(), vectors_, depth_, stride(depth_)}; }
  ConstView view() const { return {storage_.data(), vectors_, depth_, stride(depth_)}; }
  /// Vectors [first, first + count), first a multiple of kBf16Block.
  View vectors(std::size_t first, std::size_t count) {
    return {view().block(first / kernels::kBf16Block, 0), count, depth_, stride(depth_)};
  }
  /// Depths [first, first + count), first a multiple of kBf16Block.
  View depths(std::size_t first, std::size_t count) {
    return {view().block(0, first / kernels::kBf16Block), vectors_, count, stride(depth_)};
  }
  /// The memory as another, not larger shape: one buffer serves layers of different widths.
  View shaped(std::size_t vectors, std::size_t depth) {
    return {storage_.data(), vectors, depth, stride(depth)};
  }

 private:
  /// An odd number of blocks: rows of blocks a power of two apart would compete for the same cache sets.
  static std::size_t stride(std::size_t depth) {
    return (kernels::bf16_blocks(depth) | 1) * kernels::kBf16BlockElements;
  }
  static std::size_t elements(std::size_t vectors, std::size_t depth) {
    return kernels::bf16_blocks(vectors) * stride(depth);
  }

  std::size_t vectors_ = 0, depth_ = 0;
  AlignedBuffer<kernels::Bf16> storage_;
};

using Bf16LineBuffer = Bf16Buffer<kernels::Bf16Order::Lines>;
using Bf16PairBuffer = Bf16Buffer<kernels::Bf16Order::Pairs>;

}  // namespace fisherdiag
