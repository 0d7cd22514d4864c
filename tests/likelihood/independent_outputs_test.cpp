// Gaussian, Bernoulli and Poisson where float could lose digits.
#include <cmath>

#include "likelihood/seed_fixture.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;
using Catch::Matchers::WithinRel;

TEST_CASE("a confident Bernoulli output keeps its residual and its variance on both sides") {
  for (float z : {-80.0f, -30.0f, -17.0f, 17.0f, 30.0f, 80.0f})
    for (float y : {0.0f, 1.0f}) {
      INFO("z " << z << " y " << y);
      const SeedBlock block = prepared({}, Likelihood::Bernoulli, {{z}}, {{y}}, Isa::Baseline);
      const Vector expected = reference::nll_gradient(Likelihood::Bernoulli, {z}, {y});
      // exp, one addition and one division in float: 3 * 6e-8.
      CHECK_THAT(column(block, 0, 1, 1)[0], WithinRel(expected[0], 2e-7));
      const SeedBlock exact =
          prepared({EstimatorKind::Exact}, Likelihood::Bernoulli, {{z}}, {}, Isa::Baseline);
      const Vector variance = reference::score_covariance(Likelihood::Bernoulli, {z});
      CHECK_THAT(squares(exact, 1, 1)[0], WithinRel(variance[0], 5e-7));
      CHECK_THAT(column(exact, 0, 1, 1)[0], WithinRel(std::sqrt(variance[0]), 5e-7));
    }
}

TEST_CASE("the exact columns of independent outputs are one standard deviation each") {
  const Rows logits{{0.5f, -1.0f, 2.0f}};
  for (Likelihood likelihood : {Likelihood::Gaussian, Likelihood::Bernoulli, Likelihood::Poisson}) {
    const SeedBlock block = prepared({EstimatorKind::Exact}, likelihood, logits, {}, Isa::Baseline);
    REQUIRE(block.columns() == 3);
    const Vector variance = reference::score_covariance(likelihood, to_double(logits[0]));
    for (std::size_t k = 0; k < 3; ++k) {
      const std::vector<float> seeds = column(block, k, 1, 3);
      for (std::size_t c = 0; c < 3; ++c)
        // A few roundings of 6e-8.
        CHECK_THAT(seeds[c], WithinRel(c == k ? std::sqrt(variance[c * 4]) : 0.0, 5e-7));
    }
  }
}

TEST_CASE("drawn residuals of a large mean keep their digits") {
  // At z = 1e7 a float y = z + noise would carry the noise in steps of 1.
  const SeedBlock gaussian =
      prepared({EstimatorKind::MonteCarlo, 1, 3}, Likelihood::Gaussian, {{1e7f}}, {}, Isa::Baseline, 5);
  RandomStream random(3, random_stream::kMonteCarlo, 5);
  CHECK_THAT(column(gaussian, 0, 1, 1)[0], WithinRel(-random.next_normal(), 1e-7));

  // At rate e^40 = 2.4e17 floats are 1.7e10 apart; the residual has a standard deviation of 4.9e8.
  double sum = 0;
  constexpr std::size_t kDraws = 2000;
  const SeedBlock poisson =
      prepared({EstimatorKind::MonteCarlo, kDraws, 4}, Likelihood::Poisson, {{40.0f}}, {}, Isa::Baseline);
  for (std::size_t k = 0; k < kDraws; ++k)
    sum += std::pow(static_cast<double>(column(poisson, k, 1, 1)[0]), 2);
  // The mean of 2000 squares has relative sd sqrt(2 / 2000) = 0.032; 6 sd.
  CHECK_THAT(sum, WithinRel(std::exp(40.0), 0.19));
}

TEST_CASE("predicted takes 1 above one half, and the whole part of a rate") {
  const SeedBlock bernoulli =
      prepared({EstimatorKind::Predicted}, Likelihood::Bernoulli, {{0.1f, -0.1f, 0.0f}}, {}, Isa::Baseline);
  const std::vector<float> yes_no = column(bernoulli, 0, 1, 3);
  CHECK(yes_no[0] < 0);
  CHECK(yes_no[1] > 0);
  CHECK(yes_no[2] == 0.5f);
  const SeedBlock poisson = prepared({EstimatorKind::Predicted}, Likelihood::Poisson,
                                     {{std::log(2.75f), -1.0f}}, {}, Isa::Baseline);
  const std::vector<float> counts = column(poisson, 0, 1, 2);
  // exp(log(2.75)) in float: 2 roundings.
  CHECK_THAT(counts[0], WithinRel(0.75, 1e-6));
  CHECK_THAT(counts[1], WithinRel(std::exp(-1.0), 1e-6));
}
