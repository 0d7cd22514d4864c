// Storage for the lists of products that leave out zeros.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/kernels/skip.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// One thread's room for kernels::SkipScratch: 1 MiB, touched as far as the lists go; none for a network too
/// narrow to gain.
class SkipBuffer {
 public:
  SkipBuffer() = default;
  SkipBuffer(const Architecture& architecture, std::size_t lanes) {
    if (!gains(architecture, lanes)) return;
    entries_ = AlignedBuffer<kernels::NonZero>(kernels::kSkipRows * kernels::kSkipDepth);
    counts_ = AlignedBuffer<std::uint32_t>(kernels::kSkipRows * kernels::kSkipPieces);
  }

  static std::size_t bytes(const Architecture& architecture, std::size_t lanes) {
    if (!gains(architecture, lanes)) return 0;
    return aligned_bytes(kernels::kSkipRows * kernels::kSkipDepth * sizeof(kernels::NonZero)) +
           aligned_bytes(kernels::kSkipRows * kernels::kSkipPieces * sizeof(std::uint32_t));
  }

  kernels::SkipScratch scratch() { return {entries_.data(), counts_.data()}; }

 private:
  static bool gains(const Architecture& architecture, std::size_t lanes) {
    return std::ranges::any_of(architecture.layers(), [&](const LinearLayer& layer) {
      return std::max(layer.inputs, layer.outputs) > (kernels::kSkipLeastStrips - 1) * lanes;
    });
  }

  AlignedBuffer<kernels::NonZero> entries_;
  AlignedBuffer<std::uint32_t> counts_;
};

}  // namespace fisherdiag
