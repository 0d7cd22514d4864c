// Every way a pass can be refused.
#include <cmath>
#include <limits>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

const float kNan = std::nanf(""), kInfinite = std::numeric_limits<float>::infinity();

Network small_network() {
  return make_network("mlp:4-5-3:tanh", 1);
}

Samples small_samples(Likelihood likelihood = Likelihood::Categorical) {
  return make_samples(small_network(), 20, likelihood, 2);
}

}  // namespace

TEST_CASE("a weight that is not finite is an error naming its tensor") {
  for (float bad : {kNan, kInfinite}) {
    Network network = small_network();
    network.parameters()[network.architecture().weight_offset(1) + 2] = bad;
    const std::string message =
        message_of<DataError>([&] { compute(network, small_samples(), {EstimatorKind::Exact}); });
    CAPTURE(message);
    CHECK(contains(message, "2.weight"));
  }
}

TEST_CASE("a NaN weight that a relu would hide is still an error") {
  Network network = make_network("mlp:4-5-3:relu", 1);
  network.parameters()[3] = kNan;
  const std::string message =
      message_of<DataError>([&] { compute(network, small_samples(), {EstimatorKind::Empirical}); });
  CAPTURE(message);
  CHECK(contains(message, "0.weight"));
}

TEST_CASE("an input that is not finite is an error naming the sample") {
  for (float bad : {kNan, kInfinite, -kInfinite}) {
    Samples samples = small_samples();
    samples.inputs[13 * 4 + 2] = bad;
    const std::string message =
        message_of<DataError>([&] { compute(small_network(), samples, {EstimatorKind::Exact}); });
    CAPTURE(message);
    CHECK(contains(message, "sample 13"));
  }
}

TEST_CASE("a label that is no class is an error naming the sample") {
  for (float bad : {3.0f, -1.0f}) {
    Samples samples = small_samples();
    samples.targets[17] = bad;
    for (int threads : {1, 3}) {
      const std::string message = message_of<DataError>(
          [&] { compute(small_network(), samples, {}, Likelihood::Categorical, default_isa(), threads); });
      CAPTURE(message);
      CHECK(contains(message, "sample 17"));
    }
    CHECK_NOTHROW(compute(small_network(), samples, {EstimatorKind::Exact}));
  }
}

TEST_CASE("targets outside the likelihood's range are an error naming the sample") {
  Samples samples = small_samples(Likelihood::Bernoulli);
  samples.targets[6 * 3 + 1] = 0.5f;
  CHECK(contains(message_of<DataError>([&] { compute(small_network(), samples, {}, Likelihood::Bernoulli); }),
                 "sample 6"));
}

TEST_CASE("no samples are an error") {
  Samples samples = small_samples();
  samples.inputs.clear();
  samples.targets.clear();
  CHECK_THROWS_AS(compute(small_network(), samples, {}), DataError);
  const auto data = reference::to_dataset(small_samples());
  FisherOptions options;
  options.max_samples = 0;
  CHECK_THROWS_AS(compute_fisher(small_network(), *data, options, Context(1)), ArgumentError);
}

TEST_CASE("a result beyond float is an error naming its tensor") {
  Samples samples = small_samples(Likelihood::Gaussian);
  samples.targets[5] = 1e25f;
  const std::string message =
      message_of<DataError>([&] { compute(small_network(), samples, {}, Likelihood::Gaussian); });
  CAPTURE(message);
  CHECK((contains(message, ".weight") || contains(message, ".bias")));
}

TEST_CASE("data that does not fit the model or the estimator is refused") {
  const Samples samples = small_samples();
  CHECK_THROWS_AS(compute(make_network("mlp:5-3", 1), samples, {}), ArgumentError);
  CHECK_THROWS_AS(compute(small_network(), small_samples(Likelihood::Gaussian), {}), ArgumentError);
  CHECK_THROWS_AS(compute(small_network(), samples, {}, Likelihood::Gaussian), ArgumentError);
  CHECK_THROWS_AS(compute(small_network(), small_samples(Likelihood::Gaussian), {EstimatorKind::Predicted},
                          Likelihood::Gaussian),
                  ArgumentError);
  CHECK_THROWS_AS(compute(small_network(), samples, {EstimatorKind::MonteCarlo, 0}), ArgumentError);
  CHECK_THROWS_AS(compute(small_network(), samples, {EstimatorKind::Batched, 1, 1, 0}), ArgumentError);
  const auto without_targets = make_dataset(samples.inputs, 4);
  FisherOptions options;
  CHECK_THROWS_AS(compute_fisher(small_network(), *without_targets, options, Context(1)), ArgumentError);
  options.estimator.kind = EstimatorKind::Exact;
  CHECK_NOTHROW(compute_fisher(small_network(), *without_targets, options, Context(1)));
}

TEST_CASE("progress rises to the total, and returning false stops the pass") {
  const Network network = small_network();
  const auto data = reference::to_dataset(make_samples(network, 5000, Likelihood::Categorical, 2));
  FisherOptions options;
  std::vector<std::size_t> done;
  options.progress = [&](std::size_t samples, std::size_t total) {
    CHECK(total == 5000);
    done.push_back(samples);
    return true;
  };
  compute_fisher(network, *data, options, Context(1));
  REQUIRE_FALSE(done.empty());
  CHECK(std::is_sorted(done.begin(), done.end()));
  CHECK(done.back() == 5000);

  options.progress = [](std::size_t, std::size_t) { return false; };
  CHECK_THROWS_AS(compute_fisher(network, *data, options, Context(1)), InterruptedError);
}
