// A matrix in strips whose padding is poisoned, and the naive products kernels are judged by.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag::testing {

struct StripMatrix {
  StripMatrix(std::size_t rows, std::size_t cols, const kernels::KernelTable& k)
      : StripMatrix(rows, cols, k.lanes) {}
  StripMatrix(std::size_t rows, std::size_t cols, std::size_t lanes)
      : rows_(rows), cols_(cols), lanes_(lanes), buffer_(rows, cols, lanes) {
    const kernels::Strips all = buffer_.view();
    const std::size_t strips = (cols + lanes_ - 1) / lanes_;
    for (std::size_t i = 0; i < strips * all.stride; ++i)
      all.data[i] = std::numeric_limits<float>::quiet_NaN();
  }

  /// The same numbers, padding included.
  StripMatrix copy() {
    StripMatrix result(rows_, cols_, lanes_);
    std::copy_n(view().data, StripBuffer::floats(rows_, cols_, lanes_), result.view().data);
    return result;
  }

  /// Values in [-1, 1); the padding stays NaN.
  void fill_random(std::uint64_t seed) {
    RandomStream random(seed, random_stream::kTest, 0);
    for (std::size_t r = 0; r < rows_; ++r)
      for (std::size_t c = 0; c < cols_; ++c)
        (*this)(r, c) = static_cast<float>(2 * random.next_uniform() - 1);
  }

  float& operator()(std::size_t r, std::size_t c) {
    const kernels::Strips all = buffer_.view();
    return all.data[c / lanes_ * all.stride + r * lanes_ + c % lanes_];
  }
  kernels::Strips view() { return buffer_.view(); }
  kernels::Strips rows(std::size_t first, std::size_t count) { return buffer_.rows(first, count); }

  std::size_t rows_, cols_, lanes_;
  StripBuffer buffer_;
};

/// gamma(k) = k u / (1 - k u), u = 2^-24: Higham, Accuracy and Stability of Numerical Algorithms,
/// section 3.1.
inline double relative_bound(std::size_t k) {
  const double ku = static_cast<double>(k) * 0x1p-24;
  return ku / (1 - ku);
}

}  // namespace fisherdiag::testing
