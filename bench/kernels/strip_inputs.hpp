// Operands in strips for the benchmarks of products.
#pragma once

#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"
#include "support/inputs.hpp"

namespace fisherdiag::bench {

inline StripBuffer random_strips(const kernels::KernelTable& k, std::size_t rows, std::size_t cols,
                                 std::uint64_t seed) {
  StripBuffer buffer(rows, cols, k.lanes);
  const std::vector<float> values = random_values(rows * cols, seed);
  k.to_strips(values.data(), cols, buffer.view(), {});
  return buffer;
}

inline double element(const StripBuffer& buffer, std::size_t lanes, std::size_t r, std::size_t c) {
  const kernels::ConstStrips m = buffer.view();
  return m.data[c / lanes * m.stride + r * lanes + c % lanes];
}

}  // namespace fisherdiag::bench
