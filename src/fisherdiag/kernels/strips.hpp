// The layout every kernel works in: matrices cut into vertical strips one vector wide.
#pragma once

#include <cstddef>

namespace fisherdiag::kernels {

/// A matrix [rows, cols] as ceil(cols / lanes) strips. Strip s holds columns s*lanes .. s*lanes+lanes-1; its
/// row r is `lanes` consecutive floats at data + s * stride + r * lanes. Columns past `cols` are padding.
///
/// One layout serves every product: as the vector operand a strip is read one vector per row, as the
/// broadcast operand `lanes` consecutive k of one row lie in one cache line. Nothing is repacked between
/// layers.
template <class T>
struct StripsOf {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;  ///< floats from one strip to the next, >= rows * lanes

  StripsOf() = default;
  StripsOf(T* data_, std::size_t rows_, std::size_t cols_, std::size_t stride_)
      : data(data_), rows(rows_), cols(cols_), stride(stride_) {}
  operator StripsOf<const T>() const { return {data, rows, cols, stride}; }
};
using Strips = StripsOf<float>;
using ConstStrips = StripsOf<const float>;

/// target(r, c) = source[r * source_stride + c]; padding columns become 0. If `squared` has data, also
/// squared(r, c) = source^2. Shapes as target. Source any alignment; targets aligned to a vector.
using ToStrips = void(const float* source, std::size_t source_stride, const Strips& target,
                      const Strips& squared) noexcept;

/// target(r, c) = source[c * source_stride + r]: the transpose of a row-major source [cols, rows].
using TransposeToStrips = void(const float* source, std::size_t source_stride, const Strips& target) noexcept;

/// target[r * target_stride + c] = source(r, c).
using FromStrips = void(const ConstStrips& source, float* target, std::size_t target_stride) noexcept;

}  // namespace fisherdiag::kernels
