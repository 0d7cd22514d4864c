// Storage for a matrix in strips.
#pragma once

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
        storage_((cols + lanes - 1) / lanes * stride_) {}

  /// Bytes of memory a buffer of this shape takes.
  static std::size_t bytes(std::size_t rows, std::size_t cols, std::size_t lanes) {
    return aligned_bytes((cols + lanes - 1) / lanes * strip_floats(rows, lanes) * sizeof(float));
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
  static std::size_t strip_floats(std::size_t rows, std::size_t lanes) {
    // One tile more than needed: strips a power of two apart would compete for the same cache sets.
    const std::size_t tiles = (rows + kernels::kRowTile - 1) / kernels::kRowTile + 1;
    return tiles * kernels::kRowTile * lanes;
  }

  std::size_t rows_ = 0, cols_ = 0, lanes_ = 0, stride_ = 0;
  AlignedBuffer<float> storage_;
};

}  // namespace fisherdiag
