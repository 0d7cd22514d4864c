// bfloat16 by its definition, and operands in blocks seen as plain matrices.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/nn/bf16_buffer.hpp"

namespace fisherdiag::testing {

using kernels::Bf16;
using kernels::Bf16Order;
using kernels::kBf16Block;

inline float to_float(Bf16 bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// To nearest, ties to even, for finite values: of the two neighbours by truncation the nearer, judged in
/// double.
inline Bf16 round_bf16(float value) {
  const auto low = static_cast<Bf16>(std::bit_cast<std::uint32_t>(value) >> 16);
  const auto high = static_cast<Bf16>(low + 1);
  const double below = std::abs(static_cast<double>(value) - to_float(low));
  const double above = std::abs(static_cast<double>(to_float(high)) - value);
  if (below != above) return below < above ? low : high;
  return low % 2 == 0 ? low : high;
}

/// Every element of the buffer, padding included, by vector and depth.
template <Bf16Order order>
class Bf16Matrix {
 public:
  using View = typename Bf16Buffer<order>::View;

  Bf16Matrix(std::size_t vectors, std::size_t depth)
      : vectors_(vectors), depth_(depth), buffer_(vectors, depth) {}

  View view() { return buffer_.view(); }
  typename Bf16Buffer<order>::ConstView cview() const { return buffer_.view(); }
  Bf16Buffer<order>& buffer() { return buffer_; }

  Bf16& bits(std::size_t v, std::size_t k) {
    const std::size_t row = v % kBf16Block, col = k % kBf16Block;
    const std::size_t place = order == Bf16Order::Lines
                                  ? row * kBf16Block + col
                                  : row / 16 * 512 + col / 2 * kBf16Block + row % 16 * 2 + col % 2;
    return view().block(v / kBf16Block, k / kBf16Block)[place];
  }
  double operator()(std::size_t v, std::size_t k) { return to_float(bits(v, k)); }

  std::size_t vectors() const { return vectors_; }
  std::size_t depth() const { return depth_; }
  std::size_t padded_vectors() const { return kernels::bf16_blocks(vectors_) * kBf16Block; }
  std::size_t padded_depth() const { return kernels::bf16_blocks(depth_) * kBf16Block; }

  /// Values in [low, high) rounded; the padding along the depth becomes `padding`.
  Bf16Matrix& fill(std::uint64_t seed, double low, double high, float padding = 0) {
    RandomStream random(seed, random_stream::kTest, 0);
    for (std::size_t v = 0; v < padded_vectors(); ++v)
      for (std::size_t k = 0; k < padded_depth(); ++k) {
        const auto value = static_cast<float>(low + random.next_uniform() * (high - low));
        bits(v, k) = round_bf16(k < depth_ && v < vectors_ ? value : padding);
      }
    return *this;
  }

 private:
  std::size_t vectors_, depth_;
  Bf16Buffer<order> buffer_;
};

using LineMatrix = Bf16Matrix<Bf16Order::Lines>;
using PairMatrix = Bf16Matrix<Bf16Order::Pairs>;

/// sum_k left(l, k) right(r, k) in double, and the sum of the terms' sizes.
struct Product {
  double sum = 0, size = 0;
};

template <class Left, class Right>
Product multiply(Left& left, std::size_t l, Right& right, std::size_t r) {
  Product p;
  for (std::size_t k = 0; k < left.depth(); ++k) {
    const double term = left(l, k) * right(r, k);
    p.sum += term;
    p.size += std::abs(term);
  }
  return p;
}

}  // namespace fisherdiag::testing
