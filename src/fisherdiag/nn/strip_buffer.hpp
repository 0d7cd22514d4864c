// Storage for a matrix in strips.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/kernels/gemm.hpp"
#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag {

/// Owns a [rows, cols] matrix in strips of `lanes` floats, zero at first. Rows are padded to whole register
/// tiles.
class StripBuffer {
 public:
  StripBuffer() = default;
  StripBuffer(std::size_t rows, std::size_t cols, std::size_t lanes)
      : rows_(rows),
        cols_(cols),
        lanes_(lanes),
        stride_(strip_floats(rows, lanes)),
        storage_(floats(rows, cols, lanes)) {}

  /// Bytes of memory a buffer of this shape takes.
  static std::size_t bytes(std::size_t rows, std::size_t cols, std::size_t lanes) {
    return aligned_bytes(floats(rows, cols, lanes) * sizeof(float));
  }
  static std::size_t floats(std::size_t rows, std::size_t cols, std::size_t lanes) {
    return (cols + lanes - 1) / lanes * strip_floats(rows, lanes);
  }
  /// From one strip to the next.
  static std::size_t strip_floats(std::size_t rows, std::size_t lanes) {
    // One tile more than needed: strips a power of two apart would compete for the same cache sets.
    const std::size_t tiles = (rows + kernels::kRowTile - 1) / kernels::kRowTile + 1;
    return tiles * kernels::kRowTile * lanes;
  }

  bool empty() const { return storage_.empty(); }
  kernels::Strips view() { return rows(0, rows_); }
  kernels::ConstStrips view() const { return {storage_.data(), rows_, cols_, stride_}; }
  /// Rows [first, first + count).
  kernels::Strips rows(std::size_t first, std::size_t count) {
    return {storage_.data() + first * lanes_, count, cols_, stride_};
  }
  /// The first `cols` columns of `rows` rows: one buffer serves layers of different widths.
  kernels::Strips shaped(std::size_t rows, std::size_t cols) {
    return {storage_.data(), rows, cols, stride_};
  }

 private:
  std::size_t rows_ = 0, cols_ = 0, lanes_ = 0, stride_ = 0;
  AlignedBuffer<float> storage_;
};

namespace detail {

/// Sum of f(value) over row `r` of a matrix in strips of at most 16 lanes.
template <class F>
double sum_over_row(const kernels::ConstStrips& strips, std::size_t r, std::size_t lanes, const F& f) {
  float sums[16] = {};
  for (std::size_t c = 0; c < strips.cols; c += lanes) {
    const float* values = strips.data + c / lanes * strips.stride + r * lanes;
    for (std::size_t i = 0; i < std::min(lanes, strips.cols - c); ++i) sums[i] += f(values[i]);
  }
  double sum = 0;
  for (const float part : sums) sum += static_cast<double>(part);
  return sum;
}

}  // namespace detail

/// Sum of a row's values, and of their squares.
inline double row_sum(const kernels::ConstStrips& strips, std::size_t r, std::size_t lanes) {
  return detail::sum_over_row(strips, r, lanes, [](float value) { return value; });
}
inline double row_squares(const kernels::ConstStrips& strips, std::size_t r, std::size_t lanes) {
  return detail::sum_over_row(strips, r, lanes, [](float value) { return value * value; });
}

}  // namespace fisherdiag
