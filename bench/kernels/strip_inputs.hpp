// Operands in strips for the benchmarks of products.
#pragma once

#include <string>

#include "fisherdiag/base/philox.hpp"
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

/// Values in [0.5, 1.5) at `density` of the places, drawn independently; 0 elsewhere.
inline StripBuffer sparse_strips(const kernels::KernelTable& k, std::size_t rows, std::size_t cols,
                                 double density, std::uint64_t seed) {
  StripBuffer buffer(rows, cols, k.lanes);
  std::vector<float> values(rows * cols);
  RandomStream random(seed, random_stream::kSynthetic, 0);
  for (float& value : values) {
    const double u = random.next_uniform();
    value = u < density ? static_cast<float>(0.5 + u / density) : 0.f;
  }
  k.to_strips(values.data(), cols, buffer.view(), {});
  return buffer;
}

/// "/density:0.25"
inline std::string density_name(double density) {
  return "/density:0." + std::string(density < 0.095 ? "0" : "") +
         std::to_string(static_cast<int>(100 * density + 0.5));
}

inline double element(const StripBuffer& buffer, std::size_t lanes, std::size_t r, std::size_t c) {
  const kernels::ConstStrips m = buffer.view();
  return m.data[c / lanes * m.stride + r * lanes + c % lanes];
}

}  // namespace fisherdiag::bench
