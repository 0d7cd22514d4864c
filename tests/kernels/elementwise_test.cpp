#include "fisherdiag/kernels/elementwise.hpp"

#include <algorithm>
#include <cmath>

#include "fisherdiag/base/isa.hpp"
#include "kernels/margin_array.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::test;

namespace {

enum class Pull { None, L2, Fisher };

constexpr float kLambda = 1.5f;

struct Problem {
  Problem(std::size_t n, std::size_t offset)
      : theta(n, offset),
        gradient(n, offset + 1),
        first(n, offset + 2),
        second(n, offset + 3),
        anchor(n, offset + 4),
        fisher(n, offset + 5) {
    theta.fill(1, -1, 1);
    gradient.fill(2, -1, 1);
    first.fill(3, -1, 1);
    second.fill(4, 0.25f, 2);
    anchor.fill(5, -1, 1);
    fisher.fill(6, 0, 2);
  }
  kernels::StepPenalty penalty(Pull pull) const {
    if (pull == Pull::None) return {};
    return {anchor.data(), pull == Pull::Fisher ? fisher.data() : nullptr, kLambda};
  }
  double pull_term(Pull pull, std::size_t i) const {
    if (pull == Pull::None) return 0;
    const double f = pull == Pull::Fisher ? static_cast<double>(fisher[i]) : 1.0;
    return static_cast<double>(kLambda) * f *
           (static_cast<double>(theta[i]) - static_cast<double>(anchor[i]));
  }
  bool margins_untouched() const {
    return theta.margins_untouched() && gradient.margins_untouched() && first.margins_untouched() &&
           second.margins_untouched() && anchor.margins_untouched() && fisher.margins_untouched();
  }

  MarginArray theta, gradient, first, second, anchor, fisher;
};

template <class Check>
void for_every_case(const Check& check) {
  for (const Isa isa : available_isas()) {
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    for (const std::size_t n : lengths_around(kernel.lanes))
      for (const std::size_t offset : kOffsets)
        for (const Pull pull : {Pull::None, Pull::L2, Pull::Fisher}) {
          CAPTURE(isa_name(isa), n, offset, static_cast<int>(pull));
          check(kernel, n, offset, pull);
        }
  }
}

// Largest |value - expected| / tolerance so far.
struct Worst {
  double ratio = 0;
  void add(float value, double expected, double tolerance) {
    const double r = std::abs(static_cast<double>(value) - expected) / tolerance;
    ratio = std::isnan(r) ? 1e9 : std::max(ratio, r);
  }
};

void check_sgd(const kernels::KernelTable& kernel, std::size_t n, std::size_t offset, Pull pull,
               bool momentum) {
  const Problem before(n, offset);
  Problem p(n, offset);
  const float rate = 0.1f, decay = momentum ? 0.9f : 0.0f;
  kernel.sgd_step({p.theta.data(), p.gradient.data(), momentum ? p.first.data() : nullptr, n, rate, decay,
                   p.penalty(pull)});
  Worst worst;
  for (std::size_t i = 0; i < n; ++i) {
    const double term = before.pull_term(pull, i);
    const double carried = static_cast<double>(decay) * static_cast<double>(before.first[i]);
    const double v = carried + static_cast<double>(before.gradient[i]) + term;
    // Every operand of the sum v is rounded at most 4 times and enters at most 3 sums.
    const double v_tolerance =
        8 * kU * (std::abs(carried) + std::abs(static_cast<double>(before.gradient[i])) + std::abs(term));
    const double expected = static_cast<double>(before.theta[i]) - static_cast<double>(rate) * v;
    if (momentum) worst.add(p.first[i], v, v_tolerance);
    // The step's own rounding twice, and one rounding of the result.
    worst.add(
        p.theta[i], expected,
        static_cast<double>(rate) * (v_tolerance + 2 * kU * std::abs(v)) + 1.01 * kU * std::abs(expected));
  }
  REQUIRE(worst.ratio <= 1.0);
  REQUIRE(std::equal(p.gradient.values().begin(), p.gradient.values().end(), before.gradient.data()));
  REQUIRE(p.margins_untouched());
}

void check_adam(const kernels::KernelTable& kernel, std::size_t n, std::size_t offset, Pull pull) {
  const Problem before(n, offset);
  Problem p(n, offset);
  const float rate = 0.01f, b1 = 0.9f, b2 = 0.99f, epsilon = 1e-3f, c1 = 2.5f, c2 = 7.0f;
  kernel.adam_step({p.theta.data(), p.gradient.data(), p.first.data(), p.second.data(), n, rate, b1, b2,
                    epsilon, c1, c2, p.penalty(pull)});
  Worst worst;
  for (std::size_t i = 0; i < n; ++i) {
    const double term = before.pull_term(pull, i), plain = static_cast<double>(before.gradient[i]);
    const double g = plain + term, g_size = std::abs(plain) + std::abs(term);
    const double rest1 = static_cast<double>(1.0f - b1), rest2 = static_cast<double>(1.0f - b2);
    const double carried = static_cast<double>(b1) * static_cast<double>(before.first[i]);
    const double m = carried + rest1 * g;
    const double v = static_cast<double>(b2) * static_cast<double>(before.second[i]) + rest2 * g * g;
    // g carries at most 5 roundings of its size g_size; products and sums add at most 4 more.
    const double m_tolerance = 9 * kU * (std::abs(carried) + rest1 * g_size);
    const double v_tolerance = kU * (5 * v + 14 * rest2 * g_size * g_size);
    worst.add(p.first[i], m, m_tolerance);
    worst.add(p.second[i], v, v_tolerance);
    const double denominator = std::sqrt(v * static_cast<double>(c2)) + static_cast<double>(epsilon);
    const double step = static_cast<double>(rate) * static_cast<double>(c1) * m / denominator;
    // First-order propagation of both errors, 8 roundings of the step itself, one of the result.
    const double step_tolerance =
        static_cast<double>(rate) * static_cast<double>(c1) * m_tolerance / denominator +
        std::abs(step) * (v_tolerance / v + 8 * kU);
    const double expected = static_cast<double>(before.theta[i]) - step;
    worst.add(p.theta[i], expected, step_tolerance + 1.01 * kU * std::abs(expected));
  }
  REQUIRE(worst.ratio <= 1.0);
  REQUIRE(p.margins_untouched());
}

// Strips of a random matrix whose padding columns and gaps between strips are NaN.
struct StripMatrix {
  StripMatrix(std::size_t rows, std::size_t cols, std::size_t lanes)
      : strips((cols + lanes - 1) / lanes),
        storage(strips * (rows + 1) * lanes, 0),
        view(storage.data(), rows, cols, (rows + 1) * lanes),
        lanes_(lanes) {
    MarginArray values(storage.size(), 0);
    values.fill(11, -1, 1);
    for (std::size_t s = 0; s < strips; ++s)
      for (std::size_t r = 0; r <= rows; ++r)
        for (std::size_t j = 0; j < lanes; ++j) {
          const std::size_t at = s * view.stride + r * lanes + j;
          const bool inside = r < rows && s * lanes + j < cols;
          storage[at] = inside ? values[at] : std::numeric_limits<float>::quiet_NaN();
        }
  }
  double at(std::size_t r, std::size_t c) const {
    return static_cast<double>(storage[c / lanes_ * view.stride + r * lanes_ + c % lanes_]);
  }

  std::size_t strips;
  MarginArray storage;
  kernels::ConstStrips view;

 private:
  std::size_t lanes_;
};

void check_column_sums(const kernels::KernelTable& kernel, std::size_t rows, std::size_t cols, bool squared) {
  const StripMatrix m(rows, cols, kernel.lanes);
  const double kUnused = -77;
  std::vector<double> sums(cols + kernel.lanes, kUnused);
  for (std::size_t j = 0; j < cols; ++j) sums[j] = static_cast<double>(j) * 0.125;
  kernel.column_sums(m.view, squared, sums.data());
  for (std::size_t j = 0; j < cols; ++j) {
    double expected = static_cast<double>(j) * 0.125, size = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      const double value = squared ? m.at(r, j) * m.at(r, j) : m.at(r, j);
      expected += value;
      size += std::abs(value);
    }
    // A float chain of at most 512 rows, one product; doubles add nothing that counts.
    const double tolerance = kU * static_cast<double>(std::min<std::size_t>(rows, 512) + 1) * size + 1e-12;
    if (!(std::abs(sums[j] - expected) <= tolerance))
      FAIL("column " << j << ": " << sums[j] << " for " << expected);
  }
  for (std::size_t j = cols; j < sums.size(); ++j) REQUIRE(sums[j] == kUnused);
}

}  // namespace

TEST_CASE("sgd_step follows its formula") {
  for_every_case([](const kernels::KernelTable& kernel, std::size_t n, std::size_t offset, Pull pull) {
    check_sgd(kernel, n, offset, pull, false);
  });
}

TEST_CASE("sgd_step with momentum follows its formula") {
  for_every_case([](const kernels::KernelTable& kernel, std::size_t n, std::size_t offset, Pull pull) {
    check_sgd(kernel, n, offset, pull, true);
  });
}

TEST_CASE("adam_step follows its formula") {
  for_every_case([](const kernels::KernelTable& kernel, std::size_t n, std::size_t offset, Pull pull) {
    check_adam(kernel, n, offset, pull);
  });
}

TEST_CASE("column_sums adds every row of every column and no padding") {
  for (const Isa isa : available_isas()) {
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    const std::size_t lanes = kernel.lanes;
    for (const std::size_t rows : {0, 1, 5, 512, 513, 1100})
      for (const std::size_t cols : {std::size_t{1}, lanes - 1, lanes, lanes + 1, 4 * lanes + 3, 9 * lanes})
        for (const bool squared : {false, true}) {
          CAPTURE(isa_name(isa), rows, cols, squared);
          check_column_sums(kernel, rows, cols, squared);
        }
  }
}
