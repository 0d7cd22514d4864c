#include <algorithm>
#include <cmath>

#include "likelihood/seed_fixture.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

const Estimator kExact{EstimatorKind::Exact};

/// Ordinary, tied, confident in the first, middle and last class, and beyond what float can hold.
const Rows kLogits{{0.5f, -1.25f, 2.0f, 0.0f, 1.5f},
                   {0, 0, 0, 0, 0},
                   {30, 1, 0, -1, 2},
                   {0, 1, 40, 2, -3},
                   {-5, -6, -7, -8, 25},
                   {0, -20, -40, -60, -80},
                   {-80, -60, -40, -20, 0},
                   {100, -100, 0, 50, -50},
                   {88, 88, -88, -88, 0},
                   {1e30f, 0, 1e30f, -1e30f, 5}};

}  // namespace

TEST_CASE("the exact factor multiplies out to diag(p) - p p^T, for extreme p too") {
  for (Isa isa : available_isas()) {
    INFO(std::string(isa_name(isa)));
    const SeedBlock block = prepared(kExact, Likelihood::Categorical, kLogits, {}, isa);
    REQUIRE(block.columns() == 4);
    std::vector<std::vector<float>> columns;
    for (std::size_t k = 0; k < 4; ++k) columns.push_back(column(block, k, kLogits.size(), 5));
    for (std::size_t r = 0; r < kLogits.size(); ++r) {
      const Vector covariance = reference::score_covariance(Likelihood::Categorical, to_double(kLogits[r]));
      for (std::size_t a = 0; a < 5; ++a)
        for (std::size_t b = 0; b < 5; ++b) {
          double product = 0;
          for (const auto& l : columns)
            product += static_cast<double>(l[r * 5 + a]) * static_cast<double>(l[r * 5 + b]);
          // An entry of L depends on p to powers 1/2 and 1 of four factors of relative error 2e-6 (softmax)
          // and on a dozen roundings of 6e-8: 1e-5 on each of two. Below 2^-126 float has no more digits.
          const double scale = std::sqrt(covariance[a * 6] * covariance[b * 6]);
          INFO("row " << r << " entry " << a << "," << b);
          CHECK(std::abs(product - covariance[a * 5 + b]) <= 2e-5 * scale + 2e-38);
        }
    }
  }
}

TEST_CASE("the exact factor is lower triangular, so that it is the one Cholesky factor") {
  const SeedBlock block = prepared(kExact, Likelihood::Categorical, kLogits, {}, Isa::Baseline);
  for (std::size_t k = 0; k < 4; ++k) {
    const std::vector<float> l = column(block, k, kLogits.size(), 5);
    for (std::size_t r = 0; r < kLogits.size(); ++r) {
      for (std::size_t i = 0; i < k; ++i) CHECK(l[r * 5 + i] == 0.0f);
      CHECK(l[r * 5 + k] >= 0.0f);
    }
  }
}

TEST_CASE("a confident sample's residual survives: the label's entry is minus the sum of the others") {
  // p of the other two classes is 1e-12: p - 1 would round to 0.
  const float gap = static_cast<float>(std::log(1e12));
  for (Isa isa : available_isas()) {
    const SeedBlock block = prepared({}, Likelihood::Categorical, {{gap, 0, 0}}, {{0}}, isa);
    const std::vector<float> seed = column(block, 0, 1, 3);
    const double other = std::exp(-static_cast<double>(gap));
    // softmax's 2e-6 and a few roundings.
    CHECK_THAT(seed[0], Catch::Matchers::WithinRel(-2 * other, 3e-6));
    CHECK_THAT(seed[1], Catch::Matchers::WithinRel(other, 3e-6));
    CHECK_THAT(seed[2], Catch::Matchers::WithinRel(other, 3e-6));
  }
}

TEST_CASE("residuals equal the float64 gradient of nll for every label and many numbers of classes") {
  for (Isa isa : available_isas())
    for (std::size_t classes : {2u, 3u, 4u, 5u, 7u, 8u, 9u, 10u, 16u, 17u, 33u, 100u}) {
      const Rows logits = random_logits(classes, classes, 6, classes);
      Rows labels;
      for (std::size_t c = 0; c < classes; ++c) labels.push_back({static_cast<float>(c)});
      const SeedBlock block = prepared({}, Likelihood::Categorical, logits, labels, isa);
      const std::vector<float> seeds = column(block, 0, classes, classes);
      for (std::size_t r = 0; r < classes; ++r) {
        const Vector expected =
            reference::nll_gradient(Likelihood::Categorical, to_double(logits[r]), to_double(labels[r]));
        INFO(std::string(isa_name(isa)) << " classes " << classes << " label " << r);
        for (std::size_t c = 0; c < classes; ++c)
          // softmax's 2e-6 and at most classes / 4 + 3 additions of 6e-8.
          CHECK_THAT(seeds[r * classes + c], Catch::Matchers::WithinRel(expected[c], 4e-6));
      }
    }
}

TEST_CASE("closed-form squares are p (1 - p), without cancellation") {
  for (Isa isa : available_isas()) {
    const SeedBlock block = prepared(kExact, Likelihood::Categorical, kLogits, {}, isa);
    const std::vector<float> found = squares(block, kLogits.size(), 5);
    for (std::size_t r = 0; r < kLogits.size(); ++r) {
      const Vector covariance = reference::score_covariance(Likelihood::Categorical, to_double(kLogits[r]));
      for (std::size_t c = 0; c < 5; ++c) {
        INFO(std::string(isa_name(isa)) << " row " << r << " class " << c);
        // p and 1 - p each carry softmax's 2e-6; below 2^-126 float has no more digits.
        CHECK(std::abs(found[r * 5 + c] - covariance[c * 6]) <= 5e-6 * covariance[c * 6] + 2e-38);
      }
    }
  }
}

TEST_CASE("predicted takes the most probable class, the first of several") {
  const SeedBlock block = prepared({EstimatorKind::Predicted}, Likelihood::Categorical,
                                   {{0, 3, 1}, {2, 2, 2}, {0, 5, 5}}, {}, Isa::Baseline);
  const std::vector<float> seeds = column(block, 0, 3, 3);
  for (std::size_t r = 0; r < 3; ++r) {
    const std::size_t expected = r == 1 ? 0 : 1;
    for (std::size_t c = 0; c < 3; ++c) CHECK((seeds[r * 3 + c] < 0) == (c == expected));
  }
}

TEST_CASE("with two classes a sketch is the exact factor up to sign") {
  const Rows logits = random_logits(50, 2, 4, 3);
  const SeedBlock exact = prepared(kExact, Likelihood::Categorical, logits, {}, Isa::Baseline);
  const SeedBlock sketch =
      prepared({EstimatorKind::Sketch, 1, 9}, Likelihood::Categorical, logits, {}, Isa::Baseline);
  const std::vector<float> l = column(exact, 0, 50, 2), s = column(sketch, 0, 50, 2);
  int flips = 0;
  for (std::size_t i = 0; i < l.size(); ++i) CHECK(std::abs(s[i]) == std::abs(l[i]));
  for (std::size_t r = 0; r < 50; ++r) flips += s[2 * r] < 0 ? 1 : 0;
  // 50 fair signs: all alike has probability 2e-15.
  CHECK(flips > 0);
  CHECK(flips < 50);
}
