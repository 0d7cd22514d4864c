#include "fisherdiag/kernels/penalty.hpp"

#include <cstdint>

#include "fisherdiag/kernels/impl/sweep.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

// Each lane adds at most this many elements in float before its sum goes to a double.
constexpr std::size_t kFloatTerms = 256;

// Arrays are walked a page's worth of elements at a time.
constexpr std::size_t kPageElements = 1024;

/// Asks for the start of the page of memory after p's. Hardware prefetchers start anew at every page of each
/// array; with vectors of a whole cache line the loads catch up with them (0.84 of the triad's bandwidth,
/// with this 0.96).
FISHERDIAG_INLINE void prefetch_next_page(const float* p) {
#if defined(__AVX512F__)
  constexpr std::uintptr_t kPage = 4096, kLine = 64, kLines = 8;
  const std::uintptr_t next = (reinterpret_cast<std::uintptr_t>(p) / kPage + 1) * kPage;
#pragma GCC unroll 8
  for (std::uintptr_t line = 0; line < kLines; ++line)
    __builtin_prefetch(reinterpret_cast<const void*>(next + line * kLine), 0, 2);
#else
  (void)p;
#endif
}

/// The same for several arrays, from element i. Inlined early: g++ drops calls of functions that only
/// prefetch.
template <class... Array>
FISHERDIAG_INLINE void prefetch_next_pages(std::size_t i, const Array*... arrays) {
  (prefetch_next_page(arrays + i), ...);
}

FISHERDIAG_INLINE void add_lanes(Vec v, double* sums) {
  alignas(64) float lanes[kLanes];
  store_aligned(lanes, v);
  for (std::size_t i = 0; i < kLanes; ++i) sums[i] += static_cast<double>(lanes[i]);
}

// The sum over all elements of what term(i, access, partial) adds to `partial`. Four partial sums hide the
// latency of the addition. `arrays` are those it reads.
template <class Term, class... Array>
FISHERDIAG_INLINE double sum_terms(std::size_t n, const Term& term, const Array*... arrays) {
  double sums[kLanes] = {};
  std::size_t i = 0;
  while (i < n) {
    const std::size_t end = n - i < kFloatTerms * kLanes ? n : i + kFloatTerms * kLanes;
    Vec part0(0.0f), part1(0.0f), part2(0.0f), part3(0.0f);
    while (i + 4 * kLanes <= end) {
      prefetch_next_pages(i, arrays...);
      const std::size_t stop = end - i < kPageElements ? end : i + kPageElements;
      for (; i + 4 * kLanes <= stop; i += 4 * kLanes) {
        part0 = term(i, WholeVector{}, part0);
        part1 = term(i + kLanes, WholeVector{}, part1);
        part2 = term(i + 2 * kLanes, WholeVector{}, part2);
        part3 = term(i + 3 * kLanes, WholeVector{}, part3);
      }
    }
    for (; i + kLanes <= end; i += kLanes) part0 = term(i, WholeVector{}, part0);
    if (i < end) part1 = term(i, PartialVector{end - i}, part1);
    i = end;
    add_lanes((part0 + part1) + (part2 + part3), sums);
  }
  double total = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) total += sums[lane];
  return total;
}

}  // namespace

double penalty_value(const float* theta, const float* anchor, const float* fisher, std::size_t n) noexcept {
  return sum_terms(
      n,
      [=](std::size_t i, auto access, Vec partial) {
        const Vec distance = access.load(theta + i) - access.load(anchor + i);
        return multiply_add(access.load(fisher + i) * distance, distance, partial);
      },
      theta, anchor, fisher);
}

void penalty_gradient(const float* theta, const float* anchor, const float* fisher, float lambda,
                      float* gradient, std::size_t n) noexcept {
  const Vec scale(lambda);
  for (std::size_t first = 0; first < n; first += kPageElements) {
    prefetch_next_pages(first, theta, anchor, fisher, gradient);
    sweep(n - first < kPageElements ? n - first : kPageElements, [=](std::size_t k, auto access) {
      const std::size_t i = first + k;
      const Vec distance = access.load(theta + i) - access.load(anchor + i);
      const Vec pull = access.load(fisher + i) * distance;
      access.store(gradient + i, multiply_add(scale, pull, access.load(gradient + i)));
    });
  }
}

double penalty_value_gradient(const float* theta, const float* anchor, const float* fisher, float lambda,
                              float* gradient, std::size_t n) noexcept {
  const Vec scale(lambda);
  return sum_terms(
      n,
      [=](std::size_t i, auto access, Vec partial) {
        const Vec distance = access.load(theta + i) - access.load(anchor + i);
        const Vec pull = access.load(fisher + i) * distance;
        access.store(gradient + i, multiply_add(scale, pull, access.load(gradient + i)));
        return multiply_add(pull, distance, partial);
      },
      theta, anchor, fisher, gradient);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
