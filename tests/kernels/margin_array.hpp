// Arrays for kernel tests: any misalignment, margins of NaN that must neither be read into a result nor be
// written.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/kernels/table.hpp"

namespace fisherdiag::test {

/// `size` floats that start `offset` floats past a 64-byte boundary, with NaN on both sides.
class MarginArray {
 public:
  MarginArray(std::size_t size, std::size_t offset)
      : storage_(size + offset + 3 * kMargin, std::numeric_limits<float>::quiet_NaN()), size_(size) {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data() + kMargin);
    const std::size_t aligned = (64 - address % 64) % 64 / sizeof(float);
    begin_ = kMargin + aligned + offset;
    std::fill_n(storage_.begin() + static_cast<std::ptrdiff_t>(begin_), size, 0.f);
  }

  float* data() { return storage_.data() + begin_; }
  const float* data() const { return storage_.data() + begin_; }
  std::size_t size() const { return size_; }
  float& operator[](std::size_t i) { return storage_[begin_ + i]; }
  float operator[](std::size_t i) const { return storage_[begin_ + i]; }
  std::span<float> values() { return {data(), size_}; }

  /// Uniform in [low, high).
  MarginArray& fill(std::uint64_t seed, float low, float high) {
    RandomStream random(seed, random_stream::kTest, 0);
    for (float& value : values()) value = low + static_cast<float>(random.next_uniform()) * (high - low);
    return *this;
  }

  /// True while everything outside the array is the NaN it was made of.
  bool margins_untouched() const {
    const auto nan = std::bit_cast<std::uint32_t>(std::numeric_limits<float>::quiet_NaN());
    for (std::size_t i = 0; i < storage_.size(); ++i)
      if ((i < begin_ || i >= begin_ + size_) && std::bit_cast<std::uint32_t>(storage_[i]) != nan)
        return false;
    return true;
  }

 private:
  static constexpr std::size_t kMargin = 32;
  std::vector<float> storage_;
  std::size_t size_;
  std::size_t begin_ = 0;
};

/// Lengths around multiples of the vector width.
inline std::vector<std::size_t> lengths_around(std::size_t lanes) {
  return {0, 1, lanes - 1, lanes, lanes + 1, 2 * lanes, 4 * lanes - 1, 4 * lanes, 4 * lanes + 3, 1000};
}

/// Misalignments in floats: none, less than any vector, more than an SSE vector, odd.
inline constexpr std::size_t kOffsets[] = {0, 1, 3, 7};

/// Unit roundoff of float.
inline constexpr double kU = 0x1p-24;

}  // namespace fisherdiag::test
