#include "fisherdiag/kernels/elementwise.hpp"

#include "fisherdiag/kernels/impl/sweep.hpp"
#include "fisherdiag/kernels/outer.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

enum class Pull { None, L2, Fisher };

// The gradient at element i with the penalty's part added.
template <Pull kPull, class Access>
FISHERDIAG_INLINE Vec pulled_gradient(const float* gradient, Vec theta, const StepPenalty& penalty,
                                      std::size_t i, Access access) {
  const Vec plain = access.load(gradient + i);
  if constexpr (kPull == Pull::None) return plain;
  Vec pull = theta - access.load(penalty.anchor + i);
  if constexpr (kPull == Pull::Fisher) pull = access.load(penalty.fisher + i) * pull;
  return multiply_add(Vec(penalty.lambda), pull, plain);
}

template <Pull kPull, bool kMomentum>
void sgd(const SgdArguments& a) noexcept {
  const Vec minus_rate(-a.rate);
  const Vec momentum(a.momentum);
  sweep(a.n, [=](std::size_t i, auto access) {
    const Vec theta = access.load(a.theta + i);
    Vec step = pulled_gradient<kPull>(a.gradient, theta, a.penalty, i, access);
    if constexpr (kMomentum) {
      step = multiply_add(momentum, access.load(a.velocity + i), step);
      access.store(a.velocity + i, step);
    }
    access.store(a.theta + i, multiply_add(minus_rate, step, theta));
  });
}

template <Pull kPull>
void sgd(const SgdArguments& arguments) noexcept {
  if (arguments.velocity)
    sgd<kPull, true>(arguments);
  else
    sgd<kPull, false>(arguments);
}

template <Pull kPull>
void adam(const AdamArguments& a) noexcept {
  const Vec beta1(a.beta1), rest1(1.0f - a.beta1);
  const Vec beta2(a.beta2), rest2(1.0f - a.beta2);
  const Vec minus_rate(-a.rate * a.correction1), correction2(a.correction2), epsilon(a.epsilon);
  sweep(a.n, [=](std::size_t i, auto access) {
    const Vec theta = access.load(a.theta + i);
    const Vec g = pulled_gradient<kPull>(a.gradient, theta, a.penalty, i, access);
    const Vec first = multiply_add(beta1, access.load(a.first + i), rest1 * g);
    const Vec second = multiply_add(beta2, access.load(a.second + i), rest2 * (g * g));
    access.store(a.first + i, first);
    access.store(a.second + i, second);
    const Vec direction = first / (xsimd::sqrt(second * correction2) + epsilon);
    access.store(a.theta + i, multiply_add(minus_rate, direction, theta));
  });
}

// Adds the float sums of rows [begin, end) of `kStrips` neighbouring strips to their doubles. Several strips
// at a time because one chain alone waits for each addition.
template <std::size_t kStrips>
FISHERDIAG_INLINE void add_rows(const ConstStrips& m, std::size_t strip, std::size_t begin, std::size_t end,
                                bool squared, double* sums) {
  Vec chains[kStrips];
  for (std::size_t s = 0; s < kStrips; ++s) chains[s] = Vec(0.0f);
  const float* rows = m.data + strip * m.stride;
  for (std::size_t r = begin; r < end; ++r)
    for (std::size_t s = 0; s < kStrips; ++s) {
      const Vec v = load(rows + s * m.stride + r * kLanes);
      chains[s] = squared ? multiply_add(v, v, chains[s]) : chains[s] + v;
    }
  alignas(64) float lanes[kLanes];
  for (std::size_t s = 0; s < kStrips; ++s) {
    store_aligned(lanes, chains[s]);
    const std::size_t first = (strip + s) * kLanes;
    for (std::size_t j = 0; j < kLanes && first + j < m.cols; ++j)
      sums[first + j] += static_cast<double>(lanes[j]);
  }
}

}  // namespace

void sgd_step(const SgdArguments& arguments) noexcept {
  if (!arguments.penalty.anchor)
    sgd<Pull::None>(arguments);
  else if (!arguments.penalty.fisher)
    sgd<Pull::L2>(arguments);
  else
    sgd<Pull::Fisher>(arguments);
}

void adam_step(const AdamArguments& arguments) noexcept {
  if (!arguments.penalty.anchor)
    adam<Pull::None>(arguments);
  else if (!arguments.penalty.fisher)
    adam<Pull::L2>(arguments);
  else
    adam<Pull::Fisher>(arguments);
}

void column_sums(const ConstStrips& m, bool squared, double* sums) noexcept {
  const std::size_t strips = (m.cols + kLanes - 1) / kLanes;
  for (std::size_t begin = 0; begin < m.rows; begin += kChain) {
    const std::size_t end = m.rows - begin < kChain ? m.rows : begin + kChain;
    std::size_t strip = 0;
    for (; strip + 4 <= strips; strip += 4) add_rows<4>(m, strip, begin, end, squared, sums);
    for (; strip < strips; ++strip) add_rows<1>(m, strip, begin, end, squared, sums);
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
