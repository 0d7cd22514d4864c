// Rows of floats from anywhere: the part of a dataset that differs between formats.
#pragma once

#include <cstddef>
#include <string>

#include "fisherdiag/base/matrix_view.hpp"

namespace fisherdiag::io {

/// N rows of equal width. Callers ask only for rows and widths that exist; RowDataset checks the values.
class RowSource {
 public:
  virtual ~RowSource() = default;

  virtual std::size_t rows() const = 0;
  virtual std::size_t width() const = 0;
  /// The file's path, or another name for messages.
  virtual const std::string& name() const = 0;
  /// Reads rows [first, first + out.rows); out.cols is width().
  virtual void read_rows(std::size_t first, MatrixView<float> out) = 0;
};

}  // namespace fisherdiag::io
