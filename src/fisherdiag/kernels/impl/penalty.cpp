#include "fisherdiag/kernels/penalty.hpp"

#include "fisherdiag/kernels/impl/sweep.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

// Each lane adds at most this many elements in float before its sum goes to a double.
constexpr std::size_t kFloatTerms = 256;

FISHERDIAG_INLINE void add_lanes(Vec v, double* sums) {
  alignas(64) float lanes[kLanes];
  store_aligned(lanes, v);
  for (std::size_t i = 0; i < kLanes; ++i) sums[i] += static_cast<double>(lanes[i]);
}

// The sum over all elements of what term(i, access, partial) adds to `partial`. Four partial sums hide the
// latency of the addition.
template <class Term>
FISHERDIAG_INLINE double sum_terms(std::size_t n, const Term& term) {
  double sums[kLanes] = {};
  std::size_t i = 0;
  while (i < n) {
    const std::size_t end = n - i < kFloatTerms * kLanes ? n : i + kFloatTerms * kLanes;
    Vec part0(0.0f), part1(0.0f), part2(0.0f), part3(0.0f);
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
      part0 = term(i, WholeVector{}, part0);
      part1 = term(i + kLanes, WholeVector{}, part1);
      part2 = term(i + 2 * kLanes, WholeVector{}, part2);
      part3 = term(i + 3 * kLanes, WholeVector{}, part3);
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
  return sum_terms(n, [=](std::size_t i, auto access, Vec partial) {
    const Vec distance = access.load(theta + i) - access.load(anchor + i);
    return multiply_add(access.load(fisher + i) * distance, distance, partial);
  });
}

void penalty_gradient(const float* theta, const float* anchor, const float* fisher, float lambda,
                      float* gradient, std::size_t n) noexcept {
  const Vec scale(lambda);
  sweep(n, [=](std::size_t i, auto access) {
    const Vec distance = access.load(theta + i) - access.load(anchor + i);
    const Vec pull = access.load(fisher + i) * distance;
    access.store(gradient + i, multiply_add(scale, pull, access.load(gradient + i)));
  });
}

double penalty_value_gradient(const float* theta, const float* anchor, const float* fisher, float lambda,
                              float* gradient, std::size_t n) noexcept {
  const Vec scale(lambda);
  return sum_terms(n, [=](std::size_t i, auto access, Vec partial) {
    const Vec distance = access.load(theta + i) - access.load(anchor + i);
    const Vec pull = access.load(fisher + i) * distance;
    access.store(gradient + i, multiply_add(scale, pull, access.load(gradient + i)));
    return multiply_add(pull, distance, partial);
  });
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
