#include <cmath>

#include "fisherdiag/kernels/channels.hpp"
#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::relative_bound;
using fisherdiag::testing::StripMatrix;

namespace {

constexpr std::size_t kPositions = 19, kSamples = 3, kRows = kPositions * kSamples;

/// Per-channel numbers in whole vectors, and the matrices of a norm with what follows it.
struct Operands {
  Operands(std::size_t cols, const KernelTable& k)
      : input(kRows, cols, k),
        other(kRows, cols, k),
        delta(kRows, cols, k),
        output(kRows, cols, k),
        below(kRows, cols, k),
        padded((cols + k.lanes - 1) / k.lanes * k.lanes) {
    std::uint64_t seed = 0;
    for (StripMatrix* m : {&input, &other, &delta, &output, &below}) m->fill_random(++seed);
    for (std::size_t c = 0; c < padded; ++c) {
      scale.push_back(0.5f + 0.25f * static_cast<float>(c % 4));
      shift.push_back(0.125f * static_cast<float>(c % 3) - 0.1f);
    }
  }
  /// What every backward step has.
  NormBackwardArguments backward(bool relu) {
    NormBackwardArguments a;
    a.input = input.view();
    if (relu) a.output = output.view();
    a.delta = delta.view();
    a.scale = scale.data();
    a.center = shift.data();
    a.positions = kPositions;
    return a;
  }
  /// What a ReLU lets through of the sensitivity.
  float passed(bool relu, std::size_t r, std::size_t c) {
    return relu && !(output(r, c) > 0.f) ? 0.f : delta(r, c);
  }

  StripMatrix input, other, delta, output, below;
  std::size_t padded;
  std::vector<float> scale, shift;
};

template <class Check>
void for_every_shape(const Check& check) {
  for (Isa isa : available_isas())
    for (const std::size_t cols : {1u, 16u, 20u, 37u})
      for (const bool relu : {false, true})
        for (const bool with_other : {false, true}) {
          CAPTURE(isa_name(isa), cols, relu, with_other);
          const KernelTable& k = kernel_table(isa);
          Operands o(cols, k);
          check(k, o, relu, with_other);
        }
}

}  // namespace

TEST_CASE("norm_forward scales, shifts, adds and cuts off below zero", "[kernels]") {
  for_every_shape([](const KernelTable& k, Operands& o, bool relu, bool with_other) {
    k.norm_forward({o.input.view(), o.scale.data(), o.shift.data(),
                    with_other ? ConstStrips(o.other.view()) : ConstStrips(), relu, o.output.view()});
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < o.input.cols_; ++c) {
        const double product = static_cast<double>(o.scale[c]) * static_cast<double>(o.input(r, c));
        const double shift = static_cast<double>(o.shift[c]);
        const double other = with_other ? static_cast<double>(o.other(r, c)) : 0.0;
        const double expected = product + shift + other;
        const double bound = relative_bound(3) * (std::abs(product) + std::abs(shift) + std::abs(other));
        REQUIRE(std::abs(static_cast<double>(o.output(r, c)) - (relu ? std::max(expected, 0.0) : expected)) <=
                bound);
      }
  });
}

TEST_CASE("norm_backward masks, passes on, scales and sums each sample's positions", "[kernels]") {
  for_every_shape([](const KernelTable& k, Operands& o, bool relu, bool add) {
    Operands before(o.input.cols_, k);
    std::vector<double> sums(2 * kSamples * o.padded, 7.0);
    NormBackwardArguments a = o.backward(relu);
    a.sums = sums.data();
    a.other = o.other.view();
    a.below = o.below.view();
    a.add_other = add;
    a.add_below = !add;
    k.norm_backward(a);
    for (std::size_t c = 0; c < o.input.cols_; ++c)
      for (std::size_t n = 0; n < kSamples; ++n) {
        double delta = 0, product = 0, size = 0;
        for (std::size_t r = n * kPositions; r < (n + 1) * kPositions; ++r) {
          const float d = o.passed(relu, r, c);
          REQUIRE(o.other(r, c) == (add ? before.other(r, c) + d : d));
          const float own = d * o.scale[c];
          REQUIRE(o.below(r, c) == (add ? own : before.below(r, c) + own));
          delta += static_cast<double>(d);
          const double centered = static_cast<double>(o.input(r, c)) - static_cast<double>(o.shift[c]);
          product += static_cast<double>(d) * centered;
          size += std::abs(static_cast<double>(d)) * (1 + std::abs(centered));
        }
        // Chains of 16 sums, a product and a difference each.
        REQUIRE(std::abs(sums[2 * n * o.padded + c] - delta) <= relative_bound(18) * size);
        REQUIRE(std::abs(sums[(2 * n + 1) * o.padded + c] - product) <= relative_bound(18) * size);
      }
  });
}

TEST_CASE("norm_backward leaves out what is not wanted", "[kernels]") {
  for_every_shape([](const KernelTable& k, Operands& o, bool relu, bool with_below) {
    Operands before(o.input.cols_, k);
    NormBackwardArguments a = o.backward(relu);
    if (with_below) a.below = o.below.view();
    k.norm_backward(a);
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < o.input.cols_; ++c) {
        const float d = o.passed(relu, r, c);
        REQUIRE(o.other(r, c) == before.other(r, c));
        REQUIRE(o.below(r, c) == (with_below ? d * o.scale[c] : before.below(r, c)));
      }
  });
}
