// Softmax over the classes of each sample.
#pragma once

#include <cstddef>

namespace fisherdiag::kernels {

/// p[r, c] = exp(z[r, c] - max_c z) / sum_c exp(z[r, c] - max_c z) for row-major z and p [rows, cols].
///
/// Shapes    any strides >= cols, any alignment; only columns [0, cols) are read or written. p may be z.
/// nll       log_normalizers[r] = max_c z + log(sum), so that -log p_y = log_normalizers[r] - z[r, y];
/// nullptr: not
///           wanted.
/// Accuracy  relative error of each p <= 2e-6; p underflows to 0 below about 1e-38.
using SoftmaxRows = void(const float* z, std::size_t z_stride, float* p, std::size_t p_stride,
                         std::size_t rows, std::size_t cols, float* log_normalizers) noexcept;

}  // namespace fisherdiag::kernels
