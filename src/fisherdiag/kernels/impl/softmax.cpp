#include "fisherdiag/kernels/softmax.hpp"

#include "fisherdiag/kernels/impl/sweep.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

// Vectors of exponentials added in float before the sum goes to a double: 16 additions and 4 across the lanes
// lose at most 20 * 2^-24 = 1.2e-6, which the contract's 2e-6 leaves room for.
constexpr std::size_t kFloatVectors = 16;

// Below this float's exp is subnormal, which xsimd's flushes to 0.
constexpr float kUnderflow = -87.3f;

// exp(z - max). z - max rounded to float alone would cost a relative 4e-6 of the exponential at -80, so the
// rounding error (Knuth's TwoSum) is applied to first order.
FISHERDIAG_INLINE Vec shifted_exp(Vec z, Vec max) {
  const Vec shifted = z - max;
  const Vec back = shifted - z;
  const Vec error = (z - (shifted - back)) - (max + back);
  const Vec e = xsimd::exp(shifted);
  return xsimd::select(shifted < Vec(kUnderflow), Vec(0.0f), multiply_add(e, error, e));
}

struct Normalizer {
  float max;
  float sum;  // of exp(z - max)
};

// A row that fits one vector.
FISHERDIAG_INLINE Normalizer short_row(const float* z, float* p, std::size_t cols) {
  // A repeated element changes no maximum.
  const Vec values = load_partial(z, cols, z[0]);
  const float max = horizontal_max(values);
  const Vec e = keep_first(shifted_exp(values, Vec(max)), cols);
  const float sum = horizontal_sum(e);
  store_partial(p, e * Vec(1.0f / sum), cols);
  return {max, sum};
}

FISHERDIAG_INLINE float row_max(const float* z, std::size_t cols) {
  Vec max = load(z);
  std::size_t c = kLanes;
  for (; c + kLanes <= cols; c += kLanes) max = xsimd::max(max, load(z + c));
  if (c < cols) max = xsimd::max(max, load_partial(z + c, cols - c, z[0]));
  return horizontal_max(max);
}

// A row of more than one vector: three sweeps, the exponentials waiting in p for their sum.
FISHERDIAG_INLINE Normalizer long_row(const float* z, float* p, std::size_t cols) {
  const Vec max(row_max(z, cols));
  double sum = 0;
  std::size_t c = 0;
  while (c + kLanes <= cols) {
    Vec part(0.0f);
    for (std::size_t k = 0; k < kFloatVectors && c + kLanes <= cols; ++k, c += kLanes) {
      const Vec e = shifted_exp(load(z + c), max);
      store(p + c, e);
      part = part + e;
    }
    sum += static_cast<double>(horizontal_sum(part));
  }
  if (c < cols) {
    const Vec e = keep_first(shifted_exp(load_partial(z + c, cols - c, z[0]), max), cols - c);
    store_partial(p + c, e, cols - c);
    sum += static_cast<double>(horizontal_sum(e));
  }
  const Vec scale(static_cast<float>(1.0 / sum));
  sweep(cols, [=](std::size_t i, auto access) { access.store(p + i, access.load(p + i) * scale); });
  return {max.get(0), static_cast<float>(sum)};
}

}  // namespace

void softmax_rows(const float* z, std::size_t z_stride, float* p, std::size_t p_stride, std::size_t rows,
                  std::size_t cols, float* log_normalizers) noexcept {
  if (cols == 0) return;
  // Rows in groups of a vector, so that one vector logarithm serves them all.
  for (std::size_t first = 0; first < rows; first += kLanes) {
    const std::size_t count = rows - first < kLanes ? rows - first : kLanes;
    alignas(64) float maxima[kLanes] = {};
    alignas(64) float sums[kLanes] = {};
    for (std::size_t i = 0; i < count; ++i) {
      const float* source = z + (first + i) * z_stride;
      float* target = p + (first + i) * p_stride;
      const Normalizer row =
          cols <= kLanes ? short_row(source, target, cols) : long_row(source, target, cols);
      maxima[i] = row.max;
      sums[i] = row.sum;
    }
    if (log_normalizers)
      store_partial(log_normalizers + first, load_aligned(maxima) + xsimd::log(load_aligned(sums)), count);
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
