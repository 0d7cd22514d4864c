#include "fisherdiag/train/metrics.hpp"

#include <cmath>
#include <numbers>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinRel;

namespace {

// z = x for two inputs.
Network identity_network() {
  Network network(Architecture::parse("mlp:2-2"));
  network.parameters()[0] = 1;
  network.parameters()[3] = 1;
  return network;
}

// Four patterns, repeated beyond one block of samples.
std::vector<float> repeated_inputs(std::size_t times) {
  constexpr float kPatterns[] = {2, 0, 0, 3, 1, 0, 1, 1};
  std::vector<float> inputs;
  for (std::size_t k = 0; k < times; ++k)
    for (float value : kPatterns) inputs.push_back(value);
  return inputs;
}

// A few float roundings of logits and probabilities.
constexpr double kTolerance = 16 * 0x1p-24;

}  // namespace

TEST_CASE("evaluate counts correct labels and averages the nll") {
  constexpr std::size_t kTimes = 401;
  std::vector<std::int32_t> labels;
  for (std::size_t k = 0; k < kTimes; ++k) labels.insert(labels.end(), {0, 1, 1, 0});
  const auto data = make_dataset(repeated_inputs(kTimes), 2, labels);
  // Differences of the label's logit to the other: 2, 3, -1 and a tie, which the lowest class wins.
  const double nll =
      (std::log1p(std::exp(-2.0)) + std::log1p(std::exp(-3.0)) + std::log1p(std::exp(1.0)) + std::log(2.0)) /
      4;
  for (const int threads : {1, 2, 3}) {
    CAPTURE(threads);
    const Evaluation evaluation =
        evaluate(identity_network(), *data, Likelihood::Categorical, Context(threads));
    REQUIRE(evaluation.samples == 4 * kTimes);
    REQUIRE(evaluation.accuracy.value() == 0.75);
    REQUIRE_THAT(evaluation.nll, WithinRel(nll, kTolerance));
  }
}

TEST_CASE("evaluate gives the nll of other likelihoods without an accuracy") {
  // Targets 1 below each output: 1/2 |y - z|^2 = 1 for two outputs, and two times 1/2 log 2 pi.
  const std::vector<float> inputs = repeated_inputs(1);
  std::vector<float> values = inputs;
  for (float& value : values) value -= 1;
  const auto data = make_dataset(inputs, 2, {}, values, 2);
  const Evaluation evaluation = evaluate(identity_network(), *data, Likelihood::Gaussian, Context(1));
  REQUIRE_FALSE(evaluation.accuracy.has_value());
  REQUIRE_THAT(evaluation.nll, WithinRel(1 + std::log(2 * std::numbers::pi), kTolerance));
}

TEST_CASE("evaluate refuses data that does not fit") {
  const Context context(1);
  const auto unlabelled = make_dataset(repeated_inputs(1), 2);
  REQUIRE_THROWS_AS(evaluate(identity_network(), *unlabelled, Likelihood::Categorical, context),
                    ArgumentError);
  const auto wide = make_dataset(std::vector<float>(6), 3, {0, 1});
  REQUIRE_THROWS_AS(evaluate(identity_network(), *wide, Likelihood::Categorical, context), ArgumentError);
  const auto narrow = make_dataset(repeated_inputs(1), 2, {}, std::vector<float>(4), 1);
  REQUIRE_THROWS_AS(evaluate(identity_network(), *narrow, Likelihood::Gaussian, context), ArgumentError);
  const auto mislabelled = make_dataset(repeated_inputs(1), 2, {0, 1, 2, 0});
  REQUIRE_THROWS_AS(evaluate(identity_network(), *mislabelled, Likelihood::Categorical, context), DataError);
}
