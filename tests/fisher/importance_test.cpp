// Unequal probabilities: what they are, and that draws obey them.
#include "fisherdiag/fisher/importance.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "fisherdiag/base/philox.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

/// Norms over six orders of magnitude in `strata` strata.
SampleScores random_scores(std::size_t count, std::uint64_t strata) {
  RandomStream random(3, random_stream::kTest, count);
  SampleScores scores;
  for (std::size_t n = 0; n < count; ++n) {
    scores.norms.push_back(static_cast<float>(std::pow(10.0, -6 * random.next_uniform())));
    scores.strata.push_back(random.next_below(strata));
  }
  return scores;
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

TEST_CASE("inclusion probabilities sum to the size and are proportional until certain") {
  const SampleScores scores = random_scores(200, 1);
  double norms = 0;
  for (const float norm : scores.norms) norms += norm;
  for (std::size_t count :
       {std::size_t{1}, std::size_t{2}, std::size_t{17}, std::size_t{100}, std::size_t{199}}) {
    INFO(count);
    const std::vector<double> pi = inclusion_probabilities(scores.norms, count);
    // 200 additions of numbers at most 1, each good to 1.1e-16 of the sum.
    CHECK_THAT(sum(pi), Catch::Matchers::WithinRel(static_cast<double>(count), 1e-13));
    double ratio = 0;
    for (std::size_t n = 0; n < 200; ++n) {
      CHECK(pi[n] <= 1);
      CHECK(pi[n] >= kUniformShare * static_cast<double>(count) / 200 * (1 - 1e-12));
      if (pi[n] == 1) continue;
      const double p = (1 - kUniformShare) * scores.norms[n] / norms + kUniformShare / 200;
      if (ratio == 0) ratio = pi[n] / p;
      CHECK_THAT(pi[n] / p, Catch::Matchers::WithinRel(ratio, 1e-12));
    }
    // Certain samples are those that would exceed 1 at the ratio of the others.
    for (std::size_t n = 0; n < 200; ++n)
      if (pi[n] == 1)
        CHECK(ratio * ((1 - kUniformShare) * scores.norms[n] / norms + kUniformShare / 200) >= 1 - 1e-12);
  }
  CHECK(inclusion_probabilities(scores.norms, 200) == std::vector<double>(200, 1.0));
  CHECK(inclusion_probabilities(scores.norms, 500) == std::vector<double>(200, 1.0));
}

TEST_CASE("norms that say nothing give equal probabilities") {
  for (float norm : {0.0f, 1.0f, INFINITY}) {
    const std::vector<double> pi = inclusion_probabilities(std::vector<float>(10, norm), 4);
    for (const double value : pi) CHECK_THAT(value, Catch::Matchers::WithinRel(0.4, 1e-14));
  }
}

TEST_CASE("a draw has exactly its size, in order, and names the probabilities") {
  const SampleScores scores = random_scores(300, 5);
  const ImportanceDesign design(scores);
  for (std::size_t count : {1u, 2u, 50u, 299u, 300u})
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      const DrawnSamples drawn = design.draw(count, seed, 0);
      REQUIRE(drawn.samples.size() == count);
      REQUIRE(std::ranges::adjacent_find(drawn.samples, std::greater_equal<>()) == drawn.samples.end());
      const std::vector<double> pi = inclusion_probabilities(scores.norms, count);
      std::size_t uncertain = 0;
      for (std::size_t i = 0; i < count; ++i) {
        REQUIRE(drawn.inclusion[i] == pi[drawn.samples[i]]);
        uncertain += pi[drawn.samples[i]] < 1;
      }
      REQUIRE(drawn.order.size() == uncertain);
      for (std::size_t n = 0; n < 300; ++n)
        if (pi[n] == 1) REQUIRE(std::ranges::binary_search(drawn.samples, n));
    }
}

TEST_CASE("every sample is drawn as often as its probability says") {
  const SampleScores scores = random_scores(40, 3);
  const ImportanceDesign design(scores);
  constexpr std::size_t kCount = 9, kTrials = 4000;
  const std::vector<double> pi = inclusion_probabilities(scores.norms, kCount);
  std::vector<double> hits(40, 0.0);
  for (std::uint64_t trial = 0; trial < kTrials; ++trial)
    for (const std::uint64_t n : design.draw(kCount, trial / 2, trial % 2).samples) ++hits[n];
  for (std::size_t n = 0; n < 40; ++n) {
    // Binomial(4000, pi), pi >= 0.0225: sd at most sqrt(pi (1 - pi) / 4000). |z| > 6 has probability 2e-9
    // (below 1e-7 with so few hits) for each of 40 samples. A probability wrong by 70% of a small one moves z
    // by 6.6.
    const double sd = std::sqrt(pi[n] * (1 - pi[n]) * kTrials);
    INFO(n << " " << pi[n] << " " << hits[n]);
    CHECK(std::abs(hits[n] - pi[n] * kTrials) <= 6 * sd);
  }
}

TEST_CASE("every stratum is drawn in proportion") {
  const SampleScores scores = random_scores(500, 4);
  const ImportanceDesign design(scores);
  const std::vector<double> pi = inclusion_probabilities(scores.norms, 60);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    std::vector<double> surplus(4, 0.0);
    for (std::size_t n = 0; n < 500; ++n) surplus[scores.strata[n]] -= pi[n];
    for (const std::uint64_t n : design.draw(60, seed, 0).samples) surplus[scores.strata[n]] += 1;
    // A stratum is one stretch of the line; at each of its ends less than one sample is still undecided.
    for (const double s : surplus) CHECK(std::abs(s) < 2);
  }
}

TEST_CASE("draws depend on seed and round, not on anything else") {
  const ImportanceDesign design(random_scores(1000, 7));
  const DrawnSamples drawn = design.draw(100, 5, 0);
  CHECK(design.draw(100, 5, 0).samples == drawn.samples);
  CHECK(design.draw(100, 6, 0).samples != drawn.samples);
  CHECK(design.draw(100, 5, 1).samples != drawn.samples);
}
