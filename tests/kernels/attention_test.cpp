#include "fisherdiag/kernels/attention.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::relative_bound;
using fisherdiag::testing::StripMatrix;

namespace {

template <class Check>
void for_every_length(const Check& check) {
  for (Isa isa : available_isas())
    for (const std::size_t positions : {1u, 3u, 16u, 17u, 35u, 300u}) {
      CAPTURE(isa_name(isa), positions);
      check(kernel_table(isa), positions);
    }
}

bool is_seen(bool causal, const float* allowed, std::size_t r, std::size_t c) {
  return !(causal && c > r) && !(allowed && allowed[c] == 0.f);
}

}  // namespace

TEST_CASE("transpose_strips gives the transpose and zero padding", "[kernels]") {
  for (Isa isa : available_isas())
    for (const std::size_t rows : {1u, 15u, 16u, 33u})
      for (const std::size_t cols : {1u, 7u, 16u, 40u}) {
        CAPTURE(isa_name(isa), rows, cols);
        const KernelTable& k = kernel_table(isa);
        StripMatrix source(rows, cols, k), target(cols, rows, k);
        source.fill_random(1);
        k.transpose_strips(source.view(), target.view());
        const std::size_t padded = (rows + k.lanes - 1) / k.lanes * k.lanes;
        for (std::size_t r = 0; r < cols; ++r)
          for (std::size_t c = 0; c < padded; ++c) REQUIRE(target(r, c) == (c < rows ? source(c, r) : 0.f));
      }
}

TEST_CASE("masked_softmax gives the probabilities of the columns a row may see", "[kernels]") {
  for_every_length([](const KernelTable& k, std::size_t positions) {
    const std::size_t padded = (positions + k.lanes - 1) / k.lanes * k.lanes;
    std::vector<float> allowed(padded);
    for (std::size_t c = 0; c < positions; ++c) allowed[c] = c % 3 == 1 ? 0.f : 1.f;
    const std::vector<float> nothing(padded);
    for (const bool causal : {false, true})
      for (const float* keys : std::initializer_list<const float*>{nullptr, allowed.data(), nothing.data()}) {
        StripMatrix scores(positions, positions, k);
        scores.fill_random(2);
        StripMatrix before = scores.copy();
        constexpr float kScale = 17.5f;
        k.masked_softmax({scores.view(), kScale, causal, keys});
        for (std::size_t r = 0; r < positions; ++r) {
          double sum = 0, most = -1e30;
          for (std::size_t c = 0; c < positions; ++c)
            if (is_seen(causal, keys, r, c))
              most = std::max(most, static_cast<double>(kScale * before(r, c)));
          const auto term = [&](std::size_t c) {
            return is_seen(causal, keys, r, c) ? std::exp(static_cast<double>(kScale * before(r, c)) - most)
                                               : 0;
          };
          for (std::size_t c = 0; c < positions; ++c) sum += term(c);
          for (std::size_t c = 0; c < padded; ++c) {
            const double expected = c < positions && sum > 0 ? term(c) / sum : 0;
            // The contract's bound: exponents of up to 35, sums of up to 300 / 4 / 16 chains.
            REQUIRE(std::abs(static_cast<double>(scores(r, c)) - expected) <=
                    relative_bound(35 + 5 + 24) * expected);
          }
        }
      }
  });
}

TEST_CASE("masked_softmax keeps what is not a number", "[kernels]") {
  for_every_length([](const KernelTable& k, std::size_t positions) {
    StripMatrix scores(positions, positions, k);
    scores.fill_random(2);
    scores(positions - 1, 0) = std::numeric_limits<float>::quiet_NaN();
    k.masked_softmax({scores.view(), 1.f, false, nullptr});
    REQUIRE(std::isnan(scores(positions - 1, 0)));
  });
}

TEST_CASE("softmax_backward gives the sensitivities of the scores", "[kernels]") {
  for_every_length([](const KernelTable& k, std::size_t positions) {
    StripMatrix p(positions, positions, k), delta(positions, positions, k);
    p.fill_random(3);
    k.masked_softmax({p.view(), 2.f, true, nullptr});
    delta.fill_random(4);
    StripMatrix before = delta.copy();
    constexpr float kScale = 0.25f;
    k.softmax_backward(p.view(), kScale, delta.view());
    for (std::size_t r = 0; r < positions; ++r) {
      double mean = 0;
      for (std::size_t c = 0; c < positions; ++c)
        mean += static_cast<double>(p(r, c)) * static_cast<double>(before(r, c));
      for (std::size_t c = 0; c < positions; ++c) {
        const double probability = static_cast<double>(p(r, c));
        const double expected = kScale * probability * (static_cast<double>(before(r, c)) - mean);
        // Probabilities add up to 1 and sensitivities are below 1: chains of 300 / 4 and a few steps more.
        REQUIRE(std::abs(static_cast<double>(delta(r, c)) - expected) <=
                2 * relative_bound(80) * kScale * probability);
      }
      if (positions % k.lanes) REQUIRE(delta(r, positions) == 0.f);
    }
  });
}
