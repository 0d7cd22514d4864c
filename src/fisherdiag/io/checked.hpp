// Size arithmetic that reports overflow instead of wrapping.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace fisherdiag::io {

/// a * b, or nullopt if it exceeds 64 bits.
inline std::optional<std::uint64_t> checked_multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// Product of all dimensions (1 for none), or nullopt if it exceeds 64 bits. A zero dimension does not excuse
/// an overflow of the others: every partial product without the zeros must fit.
template <class T>
std::optional<std::uint64_t> checked_product(std::span<const T> dimensions) {
  std::uint64_t without_zeros = 1;
  bool any_zero = false;
  for (const T dimension : dimensions) {
    any_zero = any_zero || dimension == 0;
    const auto product = checked_multiply(without_zeros, dimension == 0 ? 1 : dimension);
    if (!product) return std::nullopt;
    without_zeros = *product;
  }
  return any_zero ? 0 : without_zeros;
}

}  // namespace fisherdiag::io
