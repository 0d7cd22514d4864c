// Accumulation of F for either unit. Contract: kernels/bf16.hpp.
#pragma once

#include "fisherdiag/kernels/impl/bf16/units.hpp"

namespace fisherdiag::kernels::bf16 {

/// Adds a block of chains to the doubles.
struct AddToFisher {
  const Bf16OuterArguments& g;

  FISHERDIAG_INLINE std::size_t rows(std::size_t o) const {
    return smaller(kBf16Block, g.left.vectors - o * kBf16Block);
  }
  FISHERDIAG_INLINE std::size_t cols(std::size_t i) const {
    return smaller(kBf16Block, g.right.vectors - i * kBf16Block);
  }
  FISHERDIAG_INLINE double* target(std::size_t o, std::size_t i) const {
    return g.fisher + o * kBf16Block * g.stride + i * kBf16Block;
  }

  FISHERDIAG_INLINE void ask(std::size_t o, std::size_t i, std::size_t begin, std::size_t end) const {
    for (std::size_t r = begin; r < end && r < rows(o); ++r)
      for (std::size_t j = 0; j < cols(i); j += 64 / sizeof(double))
        __builtin_prefetch(target(o, i) + r * g.stride + j, 1);
  }

  void operator()(std::size_t o, std::size_t i, const float* c) const {
    double* to = target(o, i);
    const std::size_t height = rows(o), width = cols(i);
    for (std::size_t r = 0; r < height; ++r, to += g.stride, c += kRow) {
      if (width == kBf16Block) {
#pragma GCC unroll 4
        for (std::size_t j = 0; j < kBf16Block; j += 8)
          _mm512_storeu_pd(to + j,
                           _mm512_add_pd(_mm512_loadu_pd(to + j), _mm512_cvtps_pd(_mm256_load_ps(c + j))));
      } else {
        for (std::size_t j = 0; j < width; ++j) to[j] += static_cast<double>(c[j]);
      }
    }
  }
};

template <class Unit>
void outer(const Bf16OuterArguments& g) noexcept {
  multiply<Unit>({{g.left.data, g.left.stride, g.left_begin, g.left_end},
                  {g.right.data, g.right.stride, g.right_begin, g.right_end},
                  bf16_blocks(g.left.depth),
                  g.scratch},
                 AddToFisher{g});
}

}  // namespace fisherdiag::kernels::bf16
