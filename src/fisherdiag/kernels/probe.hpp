// What the machine can do at most: measured, not looked up.
#pragma once

#include <cstddef>

namespace fisherdiag::kernels {

/// Runs `iterations` rounds of independent multiply-adds held in registers; returns the flops done. Time it.
using MultiplyAddProbe = double(std::size_t iterations) noexcept;

/// z[i] = a x[i] + y[i]: three streams of n floats; returns the bytes moved (12 n).
/// Past the caches where z is aligned to 64 bytes, so that 12 n is what memory really moves. z overlaps
/// neither input.
using TriadProbe = double(const float* x, const float* y, float a, float* z, std::size_t n) noexcept;

}  // namespace fisherdiag::kernels
