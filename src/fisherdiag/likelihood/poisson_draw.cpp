#include "fisherdiag/likelihood/poisson_draw.hpp"

#include <cmath>
#include <numbers>

namespace fisherdiag {

namespace {

constexpr double kSmallRate = 10;  // PTRS needs rate >= 10

/// log(k!) - [k log k - k + log(2 pi k) / 2] for k >= 10: Stirling's series, next term below 1e-13.
double stirling_error(double k) {
  const double k2 = k * k;
  return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / k2) / k2) / k2) / k2) / k;
}

/// (1 + d) log(1 + d) - d without cancellation, d > -1.
double deviance(double d) {
  if (std::abs(d) > 0.1) return (1 + d) * std::log1p(d) - d;
  // sum over j >= 2 of (-d)^j / (j (j - 1))
  double sum = 0, power = d * d;
  for (int j = 2; j < 20; ++j, power *= -d) sum += power / (j * (j - 1.0));
  return sum;
}

/// log P(count) of a Poisson distribution at count = rate + excess >= 0.
double log_probability(double rate, double excess) {
  const double k = rate + excess;
  if (k < kSmallRate) return k * std::log(rate) - rate - log_factorial(std::round(k));
  return -rate * deviance(excess / rate) - 0.5 * std::log(2 * std::numbers::pi * k) - stirling_error(k);
}

double invert(double rate, double uniform) {
  constexpr double kNegligible = 1e-19;
  double probability = std::exp(-rate), count = 0;
  while (uniform >= probability) {
    uniform -= probability;
    count += 1;
    probability *= rate / count;
    if (count > rate && probability < kNegligible) break;  // what is left of `uniform` is rounding
  }
  return count - rate;
}

}  // namespace

double log_factorial(double k) {
  if (k >= kSmallRate)
    return k * std::log(k) - k + 0.5 * std::log(2 * std::numbers::pi * k) + stirling_error(k);
  double product = 1;
  for (double i = 2; i <= k; ++i) product *= i;
  return std::log(product);
}

double draw_poisson_excess(double rate, RandomStream& random) {
  if (rate < kSmallRate) return invert(rate, random.next_uniform());
  const double whole = std::floor(rate), fraction = rate - whole;
  const double b = 0.931 + 2.53 * std::sqrt(rate);
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  const double quick = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const double u = random.next_uniform() - 0.5;
    const double v = random.next_uniform();
    const double edge = 0.5 - std::abs(u);
    const double steps = std::floor((2 * a / edge + b) * u + fraction + 0.43);  // count - whole
    const double excess = steps - fraction;
    if (edge >= 0.07 && v <= quick) return excess;
    if (steps < -whole || (edge < 0.013 && v > edge)) continue;
    const double hat = std::log(v * inverse_alpha / (a / (edge * edge) + b));
    if (hat <= log_probability(rate, excess)) return excess;
  }
}

}  // namespace fisherdiag
