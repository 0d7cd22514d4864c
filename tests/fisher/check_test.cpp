#include "fisherdiag/fisher/check.hpp"

#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/scalar_likelihood.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

namespace {

/// Inputs that are no special numbers; labels 0, 1, 2, 0, ...
std::unique_ptr<Dataset> labelled(std::size_t samples, std::size_t features, std::int32_t classes) {
  std::vector<float> inputs(samples * features);
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = std::sin(static_cast<float>(7 * i + 1));
  std::vector<std::int32_t> labels(samples);
  for (std::size_t n = 0; n < samples; ++n) labels[n] = static_cast<std::int32_t>(n) % classes;
  return make_dataset(std::move(inputs), features, std::move(labels));
}

}  // namespace

TEST_CASE("the engine passes its check") {
  const Network network = Network::random(Architecture::parse("mlp:9-8-7-3:relu"), 5);
  const auto data = labelled(30, 9, 3);
  const Context context(2);
  for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::MonteCarlo,
                             EstimatorKind::Sketch, EstimatorKind::Predicted, EstimatorKind::Batched}) {
    CheckOptions options;
    options.estimator = {kind, 3, 1, 4};
    const CheckReport report = check_fisher(network, *data, options, context);
    REQUIRE(report.passed);
    REQUIRE(report.samples + report.samples_at_corners == 8);
    REQUIRE(report.tensors.size() == 6);
    for (const TensorCheck& tensor : report.tensors)
      REQUIRE(tensor.differences + tensor.kinks == options.differences);
  }
}

TEST_CASE("a sample at the corner of a ReLU is left out") {
  // One input, one hidden unit with weight 1 and bias -1: the second sample sits within rounding of the
  // corner.
  Network network(Architecture::parse("mlp:1-1-2"));
  const std::vector<float> parameters = {1, -1, 0.5f, -0.5f, 0, 0};
  std::copy(parameters.begin(), parameters.end(), network.parameters().begin());
  const auto data = make_dataset({2.0f, 1.0f + 0x1p-23f}, 1, {0, 1});
  CheckOptions options;
  const CheckReport report = check_fisher(network, *data, options, Context(1));
  REQUIRE(report.samples == 1);
  REQUIRE(report.samples_at_corners == 1);
  const auto only_corner = make_dataset({1.0f + 0x1p-23f}, 1, {0});
  REQUIRE_THROWS_AS(check_fisher(network, *only_corner, options, Context(1)), DataError);
}

TEST_CASE("labels outside the classes are errors, whatever the estimator") {
  const Network network = Network::random(Architecture::parse("mlp:4-3-2"), 5);
  const auto data = labelled(6, 4, 5);
  for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact}) {
    CheckOptions options;
    options.estimator.kind = kind;
    REQUIRE_THROWS_AS(check_fisher(network, *data, options, Context(1)), DataError);
  }
}

TEST_CASE("a check can be stopped") {
  const Network network = Network::random(Architecture::parse("mlp:4-3-2"), 5);
  const auto data = labelled(6, 4, 2);
  std::size_t calls = 0;
  CheckOptions options;
  options.progress = [&](std::size_t, std::size_t) { return ++calls < 12; };
  REQUIRE_THROWS_AS(check_fisher(network, *data, options, Context(1)), InterruptedError);
  REQUIRE(calls == 12);
}

TEST_CASE("scalar losses and residuals in closed form") {
  const scalar::Vector<double> logits = {0.0, std::log(3.0)};  // p = 1/4, 3/4
  const float second[] = {1, 0}, values[] = {1, 2};
  // A few roundings of double.
  REQUIRE_THAT(scalar::nll(Likelihood::Categorical, logits, second), WithinRel(std::log(4.0 / 3.0), 1e-15));
  REQUIRE_THAT(scalar::residual(Likelihood::Categorical, logits, second)[1], WithinRel(-0.25, 1e-15));
  REQUIRE_THAT(scalar::nll(Likelihood::Bernoulli, logits, second),
               WithinRel(std::log(2.0) + std::log(4.0), 1e-15));
  REQUIRE_THAT(scalar::residual(Likelihood::Bernoulli, logits, second)[0], WithinRel(-0.5, 1e-15));
  REQUIRE_THAT(scalar::residual(Likelihood::Poisson, logits, values)[1], WithinRel(1.0, 1e-15));
  REQUIRE_THAT(scalar::residual(Likelihood::Gaussian, logits, values)[0], WithinAbs(-1.0, 1e-15));
}

TEST_CASE("a confident sample's loss and residual survive") {
  const scalar::Vector<double> logits = {50.0, 0.0};
  const float first[] = {0};
  REQUIRE_THAT(scalar::nll(Likelihood::Categorical, logits, first), WithinRel(std::exp(-50.0), 1e-13));
  REQUIRE_THAT(scalar::residual(Likelihood::Categorical, logits, first)[0],
               WithinRel(-std::exp(-50.0), 1e-13));
}

TEST_CASE("the scalar exact seeds have the covariance of the residual") {
  const scalar::Vector<double> logits = {0.3, -0.2, 1.1};
  const auto seeds =
      scalar::seeds_by_definition(EstimatorKind::Exact, Likelihood::Categorical, logits, nullptr);
  double sum = 0, p0 = 0;
  for (const double z : logits) sum += std::exp(z);
  p0 = std::exp(logits[0]) / sum;
  double variance = 0;
  for (const auto& seed : seeds) variance += seed[0] * seed[0];
  REQUIRE_THAT(variance, WithinRel(p0 * (1 - p0), 1e-14));
}
