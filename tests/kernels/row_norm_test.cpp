#include "fisherdiag/kernels/row_norm.hpp"

#include <cmath>
#include <vector>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::relative_bound;
using fisherdiag::testing::StripMatrix;

namespace {

constexpr std::size_t kRows = 5;
constexpr float kEps = 1e-5f;

/// Rows far from zero beside their spread, and what a norm multiplies and adds.
struct Case {
  Case(std::size_t cols, const KernelTable& k)
      : input(kRows, cols, k),
        delta(kRows, cols, k),
        output(kRows, cols, k),
        scale((cols + k.lanes - 1) / k.lanes * k.lanes),
        shift(scale.size()) {
    input.fill_random(1);
    delta.fill_random(2);
    output.fill_random(3);
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < cols; ++c) input(r, c) += r == 0 ? 100.f : 0.5f;
    for (std::size_t c = 0; c < cols; ++c) {
      scale[c] = 0.5f + 0.25f * static_cast<float>(c % 4);
      shift[c] = 0.125f * static_cast<float>(c % 3) - 0.1f;
    }
  }
  double x(std::size_t r, std::size_t c) { return static_cast<double>(input(r, c)); }
  double d(std::size_t r, std::size_t c) { return static_cast<double>(delta(r, c)); }

  StripMatrix input, delta, output;
  std::vector<float> scale, shift;
};

/// The normalised row in double, and what it was divided by.
struct Normalized {
  std::vector<double> u;
  double deviation;
};
Normalized normalized(Case& o, std::size_t r, bool centred) {
  const std::size_t cols = o.input.cols_;
  const auto n = static_cast<double>(cols);
  double mean = 0, variance = 0;
  for (std::size_t c = 0; centred && c < cols; ++c) mean += o.x(r, c) / n;
  for (std::size_t c = 0; c < cols; ++c) variance += (o.x(r, c) - mean) * (o.x(r, c) - mean) / n;
  Normalized result{{}, std::sqrt(variance + static_cast<double>(kEps))};
  for (std::size_t c = 0; c < cols; ++c) result.u.push_back((o.x(r, c) - mean) / result.deviation);
  return result;
}

template <class Check>
void for_every_case(const Check& check) {
  for (Isa isa : available_isas())
    for (const std::size_t cols : {1u, 6u, 16u, 20u, 128u})
      for (const bool centred : {false, true}) {
        CAPTURE(isa_name(isa), cols, centred);
        const KernelTable& k = kernel_table(isa);
        Case o(cols, k);
        check(k, o, centred);
      }
}

// Sums of 128 / 4 terms in a chain and a few steps; a difference from 100 of numbers rounded at 100 costs the
// first row 100 / deviation of that, and there are at least two numbers or none to divide by.
double bound(std::size_t r, bool centred, const Normalized& row) {
  return relative_bound(48) * (r == 0 && centred ? 100 / row.deviation : 4);
}

}  // namespace

TEST_CASE("row_norm_forward normalises each row", "[kernels]") {
  for_every_case([](const KernelTable& k, Case& o, bool centred) {
    k.row_norm_forward({o.input.view(), o.scale.data(), o.shift.data(), centred, kEps, o.output.view()});
    for (std::size_t r = 0; r < kRows; ++r) {
      const Normalized row = normalized(o, r, centred);
      for (std::size_t c = 0; c < o.input.cols_; ++c) {
        const double expected = static_cast<double>(o.scale[c]) * row.u[c] + static_cast<double>(o.shift[c]);
        REQUIRE(std::abs(static_cast<double>(o.output(r, c)) - expected) <=
                bound(r, centred, row) * (1 + std::abs(row.u[c])));
      }
      if (o.input.cols_ % k.lanes) REQUIRE(o.output(r, o.input.cols_) == 0.f);
    }
  });
}

TEST_CASE("row_norm_backward goes to the input and adds the parameters' gradients", "[kernels]") {
  for_every_case([](const KernelTable& k, Case& o, bool centred) {
    const std::size_t cols = o.input.cols_;
    const auto n = static_cast<double>(cols);
    for (const bool add : {false, true}) {
      StripMatrix below = o.output.copy();
      std::vector<float> scale_gradient(cols, 0.25f), shift_gradient(cols, 0.5f);
      RowNormBackwardArguments a{
          o.input.view(),        o.delta.view(),       o.scale.data(), centred, kEps, below.view(), add,
          scale_gradient.data(), shift_gradient.data()};
      k.row_norm_backward(a);
      std::vector<double> scales(cols, 0.25), shifts(cols, 0.5);
      double worst = 0;
      for (std::size_t r = 0; r < kRows; ++r) {
        const Normalized row = normalized(o, r, centred);
        const auto g = [&](std::size_t c) { return o.d(r, c) * static_cast<double>(o.scale[c]); };
        double mean = 0, along = 0;
        for (std::size_t c = 0; c < cols; ++c) {
          if (centred) mean += g(c) / n;
          along += g(c) * row.u[c] / n;
          scales[c] += o.d(r, c) * row.u[c];
          shifts[c] += o.d(r, c);
        }
        worst = std::max(worst, bound(r, centred, row));
        for (std::size_t c = 0; c < cols; ++c) {
          const double own = (g(c) - mean - row.u[c] * along) / row.deviation;
          const double expected = own + (add ? static_cast<double>(o.output(r, c)) : 0);
          // Each of the three terms is below 2 max(|u|, 1)^2 before it is divided.
          REQUIRE(std::abs(static_cast<double>(below(r, c)) - expected) <=
                  bound(r, centred, row) * (1 + 6 * std::max(1.0, row.u[c] * row.u[c]) / row.deviation));
        }
      }
      for (std::size_t c = 0; c < cols; ++c) {
        REQUIRE(std::abs(static_cast<double>(scale_gradient[c]) - scales[c]) <= 4 * kRows * worst);
        REQUIRE(std::abs(static_cast<double>(shift_gradient[c]) - shifts[c]) <= relative_bound(8) * kRows);
      }
    }
  });
}

TEST_CASE("row_norm_backward leaves out what is not wanted", "[kernels]") {
  for_every_case([](const KernelTable& k, Case& o, bool centred) {
    StripMatrix below = o.output.copy();
    RowNormBackwardArguments a;
    a.input = o.input.view();
    a.delta = o.delta.view();
    a.scale = o.scale.data();
    a.centred = centred;
    a.eps = kEps;
    a.below = below.view();
    k.row_norm_backward(a);
    std::vector<float> gradient(o.input.cols_);
    a.below = {};
    a.shift_gradient = gradient.data();
    StripMatrix after = below.copy();
    k.row_norm_backward(a);
    for (std::size_t c = 0; c < o.input.cols_; ++c) {
      REQUIRE(gradient[c] != 0.f);
      REQUIRE(below(0, c) == after(0, c));
    }
  });
}
