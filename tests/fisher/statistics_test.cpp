// The random estimators are unbiased with the variance theory says. Seeds are fixed; the error rates stated
// are those of a fresh seed, and hold for whoever changes one.
#include "fisher/outcomes.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr std::size_t kScalars = 20;

/// z-scores of kScalars random combinations of one run's result.
Vector scores(const Estimator& estimator, Likelihood likelihood, const Network& network,
              const Samples& samples) {
  const reference::Mlp mlp = reference::make_mlp(network);
  Scalars scalars(kScalars, mlp.parameters.size(), 5);
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const Vector x = samples.input(n), z = reference::forward(mlp, x);
    const auto outcomes = estimator.kind == EstimatorKind::MonteCarlo ? mc_outcomes(likelihood, z)
                                                                      : sketch_outcomes(likelihood, z);
    scalars.expect(mlp, x, outcomes, samples.size(), estimator.draws);
  }
  return scalars.z_scores(values_of(compute(network, samples, estimator, likelihood)));
}

}  // namespace

TEST_CASE("mc and sketch are unbiased: z-scores with the exact variance by enumeration") {
  const Network network = make_network("mlp:4-6-5:tanh", 3, 3);
  for (Likelihood likelihood : {Likelihood::Categorical, Likelihood::Bernoulli}) {
    const Samples samples = make_samples(network, 40, likelihood, 4);
    for (EstimatorKind kind : {EstimatorKind::MonteCarlo, EstimatorKind::Sketch}) {
      INFO(std::string(estimator_name(kind)) << " " << std::string(likelihood_name(likelihood)));
      const Vector z = scores({kind, 2048, 77}, likelihood, network, samples);
      // |z| > 6 has probability 2e-9 for each scalar, 4e-8 for all. By enumeration for the softmax, a bias of
      // 5% moves the most sensitive scalar by 11.6 (mc) and 17 (sketch) standard errors, so it is missed with
      // probability below 1e-7.
      CHECK(largest(z) < 6);
      // Not so quiet either: 20 scalars all within 0.05 would mean a variance that is far too large.
      CHECK(largest(z) > 0.05);
    }
  }
}

TEST_CASE("the error of mc and sketch falls as one over the root of the draws") {
  const Network network = make_network("mlp:3-4-3:tanh", 6, 3);
  const Samples samples = make_samples(network, 8, Likelihood::Categorical, 7);
  const Vector exact = values_of(compute(network, samples, {EstimatorKind::Exact}));
  for (EstimatorKind kind : {EstimatorKind::MonteCarlo, EstimatorKind::Sketch}) {
    INFO(std::string(estimator_name(kind)));
    const auto mean_squared_error = [&](std::size_t draws) {
      double sum = 0;
      for (std::uint64_t seed = 0; seed < 200; ++seed)
        sum += std::pow(
            reference::relative_error(values_of(compute(network, samples, {kind, draws, seed})), exact), 2);
      return sum / 200;
    };
    const double few = mean_squared_error(1), many = mean_squared_error(64);
    const double slope = 0.5 * std::log(many / few) / std::log(64.0);
    // Over 30 other sets of 200 seeds the slope had a standard deviation of 0.007 (mc) and 0.012 (sketch): 4
    // of them.
    CHECK(std::abs(slope + 0.5) < 0.05);
  }
}

TEST_CASE("at two classes a sketch has no variance at all") {
  const Network network = make_network("mlp:4-6-2:tanh", 8, 3);
  const Samples samples = make_samples(network, 30, Likelihood::Categorical, 9);
  const Vector exact = values_of(compute(network, samples, {EstimatorKind::Exact}));
  // The same seeds up to sign; sums of squares differ by rounding only.
  CHECK(reference::relative_error(values_of(compute(network, samples, {EstimatorKind::Sketch, 1, 3})),
                                  exact) <= 1e-6);
}

TEST_CASE("different seeds give different draws, the same seed the same") {
  const Network network = make_network("mlp:4-6-5:tanh", 3, 3);
  const Samples samples = make_samples(network, 40, Likelihood::Categorical, 4);
  for (EstimatorKind kind : {EstimatorKind::MonteCarlo, EstimatorKind::Sketch}) {
    const std::string first = compute(network, samples, {kind, 2, 1}).sha256();
    CHECK(compute(network, samples, {kind, 2, 1}).sha256() == first);
    CHECK(compute(network, samples, {kind, 2, 2}).sha256() != first);
  }
}
