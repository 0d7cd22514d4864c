// A matrix seen as runs of consecutive elements.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "fisherdiag/base/matrix_view.hpp"

namespace fisherdiag::io {

/// Calls body(offset, run) for consecutive runs of at most `most` elements covering `matrix` in row-major
/// order; offset counts elements from the matrix's first. Rows without gaps between them are joined.
template <class Body>
void for_each_run(MatrixView<float> matrix, std::size_t most, const Body& body) {
  if (matrix.stride == matrix.cols)
    matrix = {matrix.data, std::min<std::size_t>(matrix.rows, 1), matrix.rows * matrix.cols};
  for (std::size_t r = 0; r < matrix.rows; ++r)
    for (std::size_t c = 0; c < matrix.cols; c += most)
      body(r * matrix.cols + c, std::span<float>(matrix.row(r) + c, std::min(most, matrix.cols - c)));
}

}  // namespace fisherdiag::io
