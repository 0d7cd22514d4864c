// Every way to misuse SeedBlock, and what it says.
#include <cmath>
#include <limits>

#include "fisherdiag/base/error.hpp"
#include "likelihood/seed_fixture.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

const float kNan = std::nanf(""), kInfinite = std::numeric_limits<float>::infinity();

/// The DataError of preparing empirical seeds with sample indices from 40.
std::string data_error(Likelihood likelihood, const Rows& logits, const Rows& targets) {
  return message_of<DataError>([&] { prepared({}, likelihood, logits, targets, default_isa(), 40); });
}

}  // namespace

TEST_CASE("pairs without meaning and empty draws or batches are refused") {
  CHECK_THROWS_AS(check_estimator({EstimatorKind::Predicted}, Likelihood::Gaussian, 3), ArgumentError);
  CHECK_THROWS_AS(check_estimator({EstimatorKind::MonteCarlo, 0}, Likelihood::Categorical, 3), ArgumentError);
  CHECK_THROWS_AS(check_estimator({EstimatorKind::Sketch, 0}, Likelihood::Categorical, 3), ArgumentError);
  CHECK_THROWS_AS(check_estimator({EstimatorKind::Batched, 1, 1, 0}, Likelihood::Categorical, 3),
                  ArgumentError);
  CHECK_THROWS_AS(check_estimator({EstimatorKind::Exact}, Likelihood::Categorical, 1), ArgumentError);
  CHECK_NOTHROW(check_estimator({EstimatorKind::Exact}, Likelihood::Bernoulli, 1));
  CHECK_NOTHROW(check_estimator({EstimatorKind::Exact, 0, 1, 0}, Likelihood::Categorical, 2));
  CHECK_THROWS_AS(
      SeedBlock({EstimatorKind::Predicted}, Likelihood::Gaussian, 3, kernels::kernel_table(default_isa())),
      ArgumentError);
}

TEST_CASE("a logit that is not finite is an error naming sample and output") {
  for (float bad : {kNan, kInfinite, -kInfinite}) {
    const std::string message =
        data_error(Likelihood::Gaussian, {{0, 1, 2}, {0, 1, bad}}, {{0, 0, 0}, {0, 0, 0}});
    CAPTURE(message);
    CHECK(contains(message, "sample 41"));
    CHECK(contains(message, "output 2"));
  }
}

TEST_CASE("the last row of strided logits is checked, what lies between rows is not") {
  std::vector<float> z(3 * 8, kNan);
  for (std::size_t r = 0; r < 3; ++r) std::fill_n(z.begin() + 8 * r, 2, 0.5f);
  SeedBlock block({EstimatorKind::Exact}, Likelihood::Categorical, 2, kernels::kernel_table(default_isa()));
  CHECK_NOTHROW(block.prepare({z.data(), 3, 2, 8}, {}, indices_from(40, 3)));
  std::fill(z.begin(), z.end(), 0.5f);
  z[2 * 8 + 1] = kNan;
  const std::string message = message_of<DataError>([&] {
    block.prepare({z.data(), 3, 2, 8}, {}, indices_from(40, 3));
  });
  CAPTURE(message);
  CHECK(contains(message, "sample 42: output 1"));
}

TEST_CASE("a label that is no class is an error naming the sample") {
  for (float bad : {-1.0f, 3.0f, 0.5f, 1e20f, kNan, kInfinite, -kInfinite}) {
    const std::string message = data_error(Likelihood::Categorical, {{0, 1, 2}, {0, 1, 2}}, {{2}, {bad}});
    CAPTURE(bad, message);
    CHECK(contains(message, "sample 41"));
    CHECK(contains(message, "0 to 2"));
  }
}

TEST_CASE("targets outside a likelihood's range are errors naming sample and target") {
  for (float bad : {0.5f, -1.0f, 2.0f, kNan}) {
    const std::string message = data_error(Likelihood::Bernoulli, {{0, 1}}, {{0, bad}});
    CAPTURE(bad, message);
    CHECK(contains(message, "sample 40: target 1"));
  }
  for (float bad : {0.5f, -1.0f, kInfinite, kNan}) {
    const std::string message = data_error(Likelihood::Poisson, {{0, 1}}, {{bad, 0}});
    CAPTURE(bad, message);
    CHECK(contains(message, "sample 40: target 0"));
  }
  CHECK(contains(data_error(Likelihood::Gaussian, {{0, 1}}, {{0, kNan}}), "sample 40: target 1"));
}

TEST_CASE("a Poisson rate that overflows is an error") {
  // exp(89) = 4.5e38 is beyond float's 3.4e38.
  CHECK(contains(data_error(Likelihood::Poisson, {{0, 89}}, {{0, 0}}), "sample 40"));
  CHECK(data_error(Likelihood::Poisson, {{0, 88}}, {{0, 0}}) == "no error");
}

TEST_CASE("shapes that do not fit are refused") {
  SeedBlock block({}, Likelihood::Categorical, 3, kernels::kernel_table(default_isa()));
  const std::vector<float> z(12, 0.0f), y(4, 0.0f);
  const auto samples = indices_from(0, 4);
  CHECK_NOTHROW(block.prepare({z.data(), 4, 3}, {y.data(), 4, 1}, samples));
  CHECK_THROWS_AS(block.prepare({z.data(), 3, 4}, {y.data(), 3, 1}, indices_from(0, 3)), ArgumentError);
  CHECK_THROWS_AS(block.prepare({z.data(), 4, 3}, {y.data(), 3, 1}, samples), ArgumentError);
  CHECK_THROWS_AS(block.prepare({z.data(), 4, 3}, {y.data(), 4, 1}, indices_from(0, 3)), ArgumentError);
  CHECK_THROWS_AS(block.prepare({z.data(), 4, 3}, {}, samples), ArgumentError);
}
