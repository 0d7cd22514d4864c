// Softmax over the classes of each sample.
#pragma once

#include <cstddef>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::kernels {

/// p(r, c) = exp(z(r, c) - max_c z) / sum_c exp(z(r, c) - max_c z), for rows [0, z.rows); padding columns become 0.
/// log_normalizers[r] = max + log(sum), unless nullptr. p may be z. Relative error of each p about 1e-6.
using SoftmaxRows = void(const ConstStrips& z, const Strips& p, float* log_normalizers) noexcept;

}  // namespace fisherdiag::kernels
