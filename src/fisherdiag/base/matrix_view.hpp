// A non-owning row-major matrix.
#pragma once

#include <cstddef>

namespace fisherdiag {

/// Row-major [rows, cols] with unit column stride; row r starts at data + r * stride (in elements).
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;

  MatrixView() = default;
  MatrixView(T* data_, std::size_t rows_, std::size_t cols_) : MatrixView(data_, rows_, cols_, cols_) {}
  MatrixView(T* data_, std::size_t rows_, std::size_t cols_, std::size_t stride_)
      : data(data_), rows(rows_), cols(cols_), stride(stride_) {}

  T* row(std::size_t r) const { return data + r * stride; }
  T& operator()(std::size_t r, std::size_t c) const { return data[r * stride + c]; }
  operator MatrixView<const T>() const { return {data, rows, cols, stride}; }
};

}  // namespace fisherdiag
