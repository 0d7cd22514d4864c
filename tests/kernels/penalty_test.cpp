#include "fisherdiag/kernels/penalty.hpp"

#include <algorithm>
#include <cmath>

#include "fisherdiag/base/isa.hpp"
#include "kernels/margin_array.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::test;
using Catch::Matchers::WithinRel;

namespace {

struct Problem {
  Problem(std::size_t n, std::size_t offset)
      : theta(n, offset), anchor(n, offset + 1), fisher(n, offset + 2), gradient(n, offset + 3) {
    theta.fill(1, -1, 1);
    anchor.fill(2, -1, 1);
    fisher.fill(3, 0, 2);
    gradient.fill(4, -1, 1);
  }
  double distance(std::size_t i) const {
    return static_cast<double>(theta[i]) - static_cast<double>(anchor[i]);
  }
  double naive_value() const {
    double sum = 0;
    for (std::size_t i = 0; i < theta.size(); ++i)
      sum += static_cast<double>(fisher[i]) * distance(i) * distance(i);
    return sum;
  }
  bool margins_untouched() const {
    return theta.margins_untouched() && anchor.margins_untouched() && fisher.margins_untouched() &&
           gradient.margins_untouched();
  }

  MarginArray theta, anchor, fisher, gradient;
};

// Terms are >= 0. Each is rounded 5 times at most (twice through the squared distance, twice in products,
// once where the multiply-add is two instructions) and passes at most min(n / lanes + 1, 256) + 2 float
// additions.
double value_tolerance(std::size_t n, std::size_t lanes) {
  return kU * static_cast<double>(std::min<std::size_t>(n / lanes + 1, 256) + 7);
}

// One rounding of the result, and up to four of the term lambda F d, whichever level.
void require_gradient(const Problem& before, const MarginArray& gradient, double lambda) {
  double worst = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double term = lambda * static_cast<double>(before.fisher[i]) * before.distance(i);
    const double expected = static_cast<double>(before.gradient[i]) + term;
    const double tolerance = kU * (1.01 * std::abs(expected) + 4 * std::abs(term)) + 1e-45;
    worst = std::max(worst, std::abs(static_cast<double>(gradient[i]) - expected) / tolerance);
  }
  REQUIRE(worst <= 1.0);
}

template <class Check>
void for_every_case(const Check& check) {
  for (const Isa isa : available_isas()) {
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    std::vector<std::size_t> lengths = lengths_around(kernel.lanes);
    // More than one float block, with an odd end.
    lengths.push_back(3 * 256 * kernel.lanes + 5);
    for (const std::size_t n : lengths)
      for (const std::size_t offset : kOffsets) {
        CAPTURE(isa_name(isa), n, offset);
        check(kernel, n, offset);
      }
  }
}

}  // namespace

TEST_CASE("penalty_value equals the sum in double") {
  for_every_case([](const kernels::KernelTable& kernel, std::size_t n, std::size_t offset) {
    const Problem p(n, offset);
    const double value = kernel.penalty_value(p.theta.data(), p.anchor.data(), p.fisher.data(), n);
    if (n == 0) REQUIRE(value == 0.0);
    if (n > 0) REQUIRE_THAT(value, WithinRel(p.naive_value(), value_tolerance(n, kernel.lanes)));
    REQUIRE(p.margins_untouched());
  });
}

TEST_CASE("penalty_gradient adds lambda F (theta - anchor)") {
  for_every_case([](const kernels::KernelTable& kernel, std::size_t n, std::size_t offset) {
    const Problem before(n, offset);
    Problem p(n, offset);
    kernel.penalty_gradient(p.theta.data(), p.anchor.data(), p.fisher.data(), 2.5f, p.gradient.data(), n);
    require_gradient(before, p.gradient, 2.5);
    REQUIRE(p.margins_untouched());
  });
}

TEST_CASE("penalty_value_gradient does both, with the same bits as each alone") {
  for_every_case([](const kernels::KernelTable& kernel, std::size_t n, std::size_t offset) {
    const Problem before(n, offset);
    Problem p(n, offset), alone(n, offset);
    const double value = kernel.penalty_value_gradient(p.theta.data(), p.anchor.data(), p.fisher.data(), 2.5f,
                                                       p.gradient.data(), n);
    kernel.penalty_gradient(p.theta.data(), p.anchor.data(), p.fisher.data(), 2.5f, alone.gradient.data(), n);
    REQUIRE(value == kernel.penalty_value(p.theta.data(), p.anchor.data(), p.fisher.data(), n));
    REQUIRE(
        std::equal(p.gradient.values().begin(), p.gradient.values().end(), alone.gradient.values().begin()));
    require_gradient(before, p.gradient, 2.5);
    REQUIRE(p.margins_untouched());
  });
}

TEST_CASE("penalty_value stays accurate over many elements") {
  constexpr std::size_t kCount = std::size_t{1} << 22;
  const std::vector<float> theta(kCount, 0.1f), anchor(kCount, 0.0f), fisher(kCount, 1.0f);
  const double expected = static_cast<double>(kCount) * static_cast<double>(0.1f) * static_cast<double>(0.1f);
  for (const Isa isa : available_isas()) {
    CAPTURE(isa_name(isa));
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    const double value = kernel.penalty_value(theta.data(), anchor.data(), fisher.data(), kCount);
    // At most 256 + 7 roundings of u each; a single float lane of 2^18 and more equal terms loses over 1e-4.
    REQUIRE_THAT(value, WithinRel(expected, value_tolerance(kCount, kernel.lanes)));
  }
}

TEST_CASE("a penalty value that is not finite shows") {
  for (const Isa isa : available_isas()) {
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    for (const std::size_t bad : {std::size_t{0}, kernel.lanes, 4 * kernel.lanes + 2}) {
      CAPTURE(isa_name(isa), bad);
      Problem p(4 * kernel.lanes + 3, 0);
      p.theta[bad] = std::numeric_limits<float>::quiet_NaN();
      REQUIRE(
          std::isnan(kernel.penalty_value(p.theta.data(), p.anchor.data(), p.fisher.data(), p.theta.size())));
    }
  }
}
