#include "fisherdiag/kernels/channels.hpp"

#include <cmath>
#include <numbers>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::StripMatrix;

namespace {

constexpr Function kFunctions[] = {Function::Identity, Function::Relu, Function::Relu6, Function::Tanh,
                                   Function::Sigmoid,  Function::Gelu, Function::Silu};

double value(Function f, double x) {
  const double s = 1 / (1 + std::exp(-x)), cdf = 0.5 * std::erfc(-x / std::numbers::sqrt2);
  switch (f) {
    case Function::Identity:
      return x;
    case Function::Relu:
      return std::max(x, 0.0);
    case Function::Relu6:
      return std::clamp(x, 0.0, 6.0);
    case Function::Tanh:
      return std::tanh(x);
    case Function::Sigmoid:
      return s;
    case Function::Gelu:
      return x * cdf;
    case Function::Silu:
      return x * s;
  }
  return x;
}

/// Richardson's extrapolation of central differences: error about h^4.
double slope(Function f, double x) {
  const auto central = [&](double h) { return (value(f, x + h) - value(f, x - h)) / (2 * h); };
  return (4 * central(1e-3) - central(2e-3)) / 3;
}

template <class Check>
void for_every_level(const Check& check) {
  for (Isa isa : available_isas())
    for (std::size_t cols : {1, 4, 16, 17, 35}) {
      CAPTURE(isa_name(isa), cols);
      const KernelTable& k = kernel_table(isa);
      StripMatrix x(7, cols, k), delta(7, cols, k), out(7, cols, k);
      x.fill_random(1);
      delta.fill_random(2);
      out.fill_random(3);
      for (std::size_t r = 0; r < 7; ++r)
        for (std::size_t c = 0; c < cols; ++c) x(r, c) *= 8.f;
      check(k, x, delta, out);
    }
}

}  // namespace

TEST_CASE("activations and their derivatives are right", "[kernels]") {
  for_every_level([](const KernelTable& k, StripMatrix& x, StripMatrix& delta, StripMatrix& out) {
    for (Function f : kFunctions) {
      CAPTURE(static_cast<int>(f));
      k.activate(f, x.view(), out.view());
      for (std::size_t r = 0; r < x.rows_; ++r)
        for (std::size_t c = 0; c < x.cols_; ++c)
          // 2^-20 relative; the tails of gelu and silu are near 0.
          REQUIRE(std::abs(out(r, c) - value(f, x(r, c))) <= 1e-6 * std::abs(value(f, x(r, c))) + 1e-9);
      for (const bool add : {false, true}) {
        out.fill_random(3);
        StripMatrix before(x.rows_, x.cols_, k);
        before.fill_random(3);
        k.activate_backward(f, x.view(), delta.view(), add, out.view());
        for (std::size_t r = 0; r < x.rows_; ++r)
          for (std::size_t c = 0; c < x.cols_; ++c) {
            const double z = x(r, c);
            if (std::abs(z) < 0.01 || std::abs(z - 6) < 0.01) continue;  // the differences cross a corner
            const double expected = static_cast<double>(delta(r, c)) * slope(f, z) +
                                    (add ? static_cast<double>(before(r, c)) : 0);
            REQUIRE(std::abs(out(r, c) - expected) <= 2e-6);
          }
      }
    }
  });
}

TEST_CASE("an activation that leaves its slope has the bits of one that does not", "[kernels]") {
  for_every_level([](const KernelTable& k, StripMatrix& x, StripMatrix& delta, StripMatrix& out) {
    for (Function f : kFunctions)
      for (const bool add : {false, true}) {
        CAPTURE(static_cast<int>(f), add);
        StripMatrix slope = x.copy(), below = delta.copy(), expected = delta.copy();
        StripMatrix plain(x.rows_, x.cols_, k);
        k.activate(f, x.view(), plain.view());
        k.activate_keeping_slope(f, slope.view(), out.view());
        k.activate_backward(f, x.view(), delta.view(), add, expected.view());
        k.multiply_slope(slope.view(), delta.view(), add, below.view());
        for (std::size_t r = 0; r < x.rows_; ++r)
          for (std::size_t c = 0; c < x.cols_; ++c) {
            REQUIRE(out(r, c) == plain(r, c));
            REQUIRE(below(r, c) == expected(r, c));
          }
      }
  });
}

TEST_CASE("scale_columns scales, shifts and adds", "[kernels]") {
  for_every_level([](const KernelTable& k, StripMatrix& x, StripMatrix&, StripMatrix& out) {
    std::vector<float> scale(48), shift(48);
    for (std::size_t i = 0; i < 48; ++i) {
      scale[i] = 0.5f + static_cast<float>(i);
      shift[i] = 3.f - static_cast<float>(i);
    }
    for (const bool add : {false, true})
      for (const bool with_scale : {false, true}) {
        StripMatrix before(x.rows_, x.cols_, k);
        before.fill_random(3);
        out.fill_random(3);
        k.scale_columns(x.view(), with_scale ? scale.data() : nullptr, with_scale ? shift.data() : nullptr,
                        add, out.view());
        for (std::size_t r = 0; r < x.rows_; ++r)
          for (std::size_t c = 0; c < x.cols_; ++c) {
            double expected = add ? static_cast<double>(before(r, c)) : 0;
            expected += with_scale ? static_cast<double>(scale[c]) * static_cast<double>(x(r, c)) +
                                         static_cast<double>(shift[c])
                                   : static_cast<double>(x(r, c));
            // Three roundings of numbers below 400.
            REQUIRE(std::abs(out(r, c) - expected) <= 1e-4);
          }
      }
  });
}
