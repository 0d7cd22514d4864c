// The standard errors themselves, against enumeration and by hand.
#include "fisherdiag/fisher/trace_error.hpp"

#include <bit>
#include <cmath>
#include <numeric>

#include "support/catch.hpp"

using namespace fisherdiag;

TEST_CASE("uniform: over all subsets the squared standard error is the variance") {
  const std::vector<double> traces{1, 4, 4, 10, 0.5, 7, 2};
  const double truth = std::accumulate(traces.begin(), traces.end(), 0.0) / 7;
  for (int n : {2, 3, 6}) {
    double variance = 0, estimate = 0, mean = 0, subsets = 0;
    for (unsigned mask = 0; mask < 128; ++mask) {
      if (std::popcount(mask) != n) continue;
      UniformTraceError error(1, 7);
      for (std::size_t i = 0; i < 7; ++i)
        if (mask >> i & 1) error.add(std::span(&traces[i], 1));
      const TraceMean result = error.mean(0);
      mean += result.value;
      variance += std::pow(result.value - truth, 2);
      estimate += std::pow(result.standard_error, 2);
      ++subsets;
    }
    // Both are unbiased whatever the traces: equal to rounding of at most 35 terms.
    CHECK_THAT(mean / subsets, Catch::Matchers::WithinRel(truth, 1e-13));
    CHECK_THAT(estimate, Catch::Matchers::WithinRel(variance, 1e-12));
  }
}

TEST_CASE("uniform: layers and their sum") {
  UniformTraceError error(2, 10);
  for (const auto& row : std::vector<std::vector<double>>{{1, 10}, {3, 30}, {2, 5}}) error.add(row);
  CHECK_THAT(error.mean(0).value, Catch::Matchers::WithinRel(2.0, 1e-14));
  CHECK_THAT(error.mean(1).value, Catch::Matchers::WithinRel(15.0, 1e-14));
  CHECK_THAT(error.mean(2).value, Catch::Matchers::WithinRel(17.0, 1e-14));
  // Sample variances 1, 175 and that of 11, 33, 7: 196; times (1 - 3/10) / 3.
  CHECK_THAT(error.mean(0).standard_error, Catch::Matchers::WithinRel(std::sqrt(0.7 / 3), 1e-14));
  CHECK_THAT(error.mean(1).standard_error, Catch::Matchers::WithinRel(std::sqrt(175 * 0.7 / 3), 1e-14));
  CHECK_THAT(error.mean(2).standard_error, Catch::Matchers::WithinRel(std::sqrt(196 * 0.7 / 3), 1e-14));
}

TEST_CASE("uniform: one sample tells nothing, all of them everything") {
  const double trace = 3;
  UniformTraceError one(1, 2);
  one.add(std::span(&trace, 1));
  CHECK(std::isnan(one.mean(0).standard_error));
  one.add(std::span(&trace, 1));
  CHECK(one.mean(0).standard_error == 0);
}

TEST_CASE("importance: by hand") {
  // Totals 2/0.5 + 3/0.5 + 5/1 = 15; differences in the order of the design only between the first two:
  // 2/(2-1) * (1 - 0.5) * (4 - 6)^2 / 2 = 2.
  const DrawnSamples round{{0, 1, 2}, {0.5, 0.5, 1}, {1, 0}};
  const std::vector<double> traces{2, 3, 5};
  ImportanceTraceError error(1, 5);
  error.add_round(round, traces);
  CHECK_THAT(error.mean(0).value, Catch::Matchers::WithinRel(3.0, 1e-14));
  CHECK_THAT(error.mean(0).standard_error, Catch::Matchers::WithinRel(std::sqrt(2.0) / 5, 1e-14));
  CHECK_THAT(error.mean(1).standard_error, Catch::Matchers::WithinRel(std::sqrt(2.0) / 5, 1e-14));
  // A round of another three samples counts as much: the mean of 15 and 30, variances (2 + 8) / 4.
  error.add_round(round, std::vector<double>{4, 6, 10});
  CHECK_THAT(error.mean(0).value, Catch::Matchers::WithinRel(4.5, 1e-14));
  CHECK_THAT(error.mean(0).standard_error, Catch::Matchers::WithinRel(std::sqrt(2.5) / 5, 1e-14));
}

TEST_CASE("importance: certain samples have no error, a single uncertain one an unknown error") {
  ImportanceTraceError certain(1, 3), single(1, 3);
  certain.add_round({{0, 2}, {1, 1}, {}}, std::vector<double>{4, 1});
  CHECK(certain.mean(0).standard_error == 0);
  single.add_round({{0, 2}, {1, 0.5}, {1}}, std::vector<double>{4, 1});
  CHECK(std::isnan(single.mean(0).standard_error));
}

TEST_CASE("importance: with equal probabilities and random order the squared error is the variance") {
  // Every ordered pair of 7 samples is drawn: half a squared difference averages to the variance within the
  // data.
  const std::vector<double> traces{1, 4, 4, 10, 0.5, 7, 2};
  double estimate = 0, variance = 0, pairs = 0;
  const double truth = std::accumulate(traces.begin(), traces.end(), 0.0) / 7;
  for (std::size_t a = 0; a < 7; ++a)
    for (std::size_t b = 0; b < 7; ++b) {
      if (a == b) continue;
      ImportanceTraceError error(1, 7);
      error.add_round({{std::min(a, b), std::max(a, b)}, {2.0 / 7, 2.0 / 7}, {0, 1}},
                      std::vector<double>{traces[std::min(a, b)], traces[std::max(a, b)]});
      estimate += std::pow(error.mean(0).standard_error, 2);
      variance += std::pow(error.mean(0).value - truth, 2);
      ++pairs;
    }
  CHECK_THAT(estimate, Catch::Matchers::WithinRel(variance, 1e-12));
}
