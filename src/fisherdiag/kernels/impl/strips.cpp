// Contracts: kernels/strips.hpp.
#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// Rows handled together: their source lines stay in the first-level cache from strip to strip.
constexpr std::size_t kRowBlock = 16;

FISHERDIAG_INLINE Vec load_part(const float* source, std::size_t n) {
  alignas(64) float part[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) part[i] = source[i];
  return load_aligned(part);
}

/// Asks for the lines of `row` in the strip after `strip`, to be written. With several threads another core
/// read them last, and a store alone would wait for each.
FISHERDIAG_INLINE void ask_for_next(const Strips& target, std::size_t strip, std::size_t row) {
  __builtin_prefetch(target.data + (strip + 1) * target.stride + row * kLanes, 1);
}

/// Asks the second-level cache for the line at `from` of the next block of rows. Samples come from memory, a
/// line of each row in turn, which the hardware's prefetchers do not see through.
FISHERDIAG_INLINE void ask_for_next_rows(const float* from, std::size_t stride) {
  __builtin_prefetch(from + kRowBlock * stride, 0, 2);
}

template <bool Squared>
void rows_to_strips(const float* source, std::size_t stride, const Strips& target, const Strips& squared,
                    std::size_t begin, std::size_t end) {
  for (std::size_t column = 0, strip = 0; column < target.cols; column += kLanes, ++strip) {
    const std::size_t n = target.cols - column < kLanes ? target.cols - column : kLanes;
    for (std::size_t r = begin; r < end; ++r) {
      const float* from = source + r * stride + column;
      ask_for_next(target, strip, r);
      if constexpr (Squared) ask_for_next(squared, strip, r);
      ask_for_next_rows(from, stride);
      const Vec v = n == kLanes ? load(from) : load_part(from, n);
      store_aligned(target.data + strip * target.stride + r * kLanes, v);
      if constexpr (Squared) store_aligned(squared.data + strip * squared.stride + r * kLanes, v * v);
    }
  }
}

}  // namespace

void to_strips(const float* source, std::size_t stride, const Strips& target,
               const Strips& squared) noexcept {
  for (std::size_t begin = 0; begin < target.rows; begin += kRowBlock) {
    const std::size_t end = begin + kRowBlock < target.rows ? begin + kRowBlock : target.rows;
    if (squared.data)
      rows_to_strips<true>(source, stride, target, squared, begin, end);
    else
      rows_to_strips<false>(source, stride, target, squared, begin, end);
  }
}

void transpose_to_strips(const float* source, std::size_t stride, const Strips& target) noexcept {
  for (std::size_t column = 0, strip = 0; column < target.cols; column += kLanes, ++strip) {
    const std::size_t n = target.cols - column < kLanes ? target.cols - column : kLanes;
    float* to = target.data + strip * target.stride;
    for (std::size_t begin = 0; begin < target.rows; begin += kRowBlock) {
      const std::size_t end = begin + kRowBlock < target.rows ? begin + kRowBlock : target.rows;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        if (lane < n) {
          const float* from = source + (column + lane) * stride;
          for (std::size_t r = begin; r < end; ++r) to[r * kLanes + lane] = from[r];
        } else {
          for (std::size_t r = begin; r < end; ++r) to[r * kLanes + lane] = 0.f;
        }
      }
    }
  }
}

void from_strips(const ConstStrips& source, float* target, std::size_t stride) noexcept {
  for (std::size_t r = 0; r < source.rows; ++r)
    for (std::size_t column = 0, strip = 0; column < source.cols; column += kLanes, ++strip) {
      const std::size_t n = source.cols - column < kLanes ? source.cols - column : kLanes;
      const float* from = source.data + strip * source.stride + r * kLanes;
      for (std::size_t i = 0; i < n; ++i) target[r * stride + column + i] = from[i];
    }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
