// The same bits for every number of threads and every memory bound; subsets and draws keyed by the sample.
#include <set>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

const std::vector<Estimator> kEstimators{
    {EstimatorKind::Empirical},    {EstimatorKind::Exact},     {EstimatorKind::MonteCarlo, 2, 5},
    {EstimatorKind::Sketch, 2, 5}, {EstimatorKind::Predicted}, {EstimatorKind::Batched, 1, 1, 50}};

/// N one-hot inputs into one layer: column i of F belongs to sample i alone.
Samples one_hot_samples(std::size_t count, std::size_t classes) {
  Samples samples = reference::random_samples(count, count, classes, Likelihood::Categorical, 3);
  std::fill(samples.inputs.begin(), samples.inputs.end(), 0.0f);
  for (std::size_t n = 0; n < count; ++n) samples.inputs[n * count + n] = 1.0f;
  return samples;
}

FisherDiagonal compute_subset(const Network& network, const Samples& samples, const Estimator& estimator,
                              std::size_t max_samples) {
  const auto data = reference::to_dataset(samples);
  FisherOptions options;
  options.estimator = estimator;
  options.normalization = Normalization::Sum;
  options.max_samples = max_samples;
  return compute_fisher(network, *data, options, Context(2));
}

}  // namespace

TEST_CASE("1, 2, 3 and 7 threads give the same bits at every level") {
  const Network network = make_network("mlp:37-33-18-11:tanh", 1);
  const Samples samples = make_samples(network, 1300, Likelihood::Categorical, 2);
  for (Isa isa : available_isas())
    for (const Estimator& estimator : kEstimators) {
      INFO(std::string(estimator_name(estimator.kind)) << " " << std::string(isa_name(isa)));
      const std::string one = compute(network, samples, estimator, Likelihood::Categorical, isa, 1).sha256();
      for (int threads : {2, 3, 7})
        CHECK(compute(network, samples, estimator, Likelihood::Categorical, isa, threads).sha256() == one);
    }
}

TEST_CASE("levels agree to the last few bits") {
  const Network network = make_network("mlp:37-33-18-11:tanh", 1);
  const Samples samples = make_samples(network, 100, Likelihood::Categorical, 2);
  const Vector baseline =
      values_of(compute(network, samples, {EstimatorKind::Exact}, Likelihood::Categorical, Isa::Baseline));
  for (Isa isa : available_isas())
    // Typical rounding of 100 terms on both sides; systematic differences would show as 1e-5 and more.
    CHECK(reference::relative_error(
              values_of(compute(network, samples, {EstimatorKind::Exact}, Likelihood::Categorical, isa)),
              baseline) <= 2e-6);
}

TEST_CASE("a memory bound changes time, not bits") {
  const Network network = make_network("mlp:37-33-18-11:relu", 1);
  const Samples samples = make_samples(network, 5000, Likelihood::Categorical, 2);
  for (const Estimator& estimator : kEstimators) {
    INFO(std::string(estimator_name(estimator.kind)));
    const auto data = reference::to_dataset(samples);
    FisherOptions options;
    options.estimator = estimator;
    FisherStatistics free, bounded;
    const Context context(2);
    const std::string expected = compute_fisher(network, *data, options, context, &free).sha256();
    options.max_memory_bytes = free.workspace_bytes * 3 / 4;
    CHECK(compute_fisher(network, *data, options, context, &bounded).sha256() == expected);
    CHECK(bounded.workspace_bytes <= options.max_memory_bytes);
  }
}

TEST_CASE("a memory bound that no pass fits is refused") {
  const Network network = make_network("mlp:37-33-18-11:relu", 1);
  const auto data = reference::to_dataset(make_samples(network, 10, Likelihood::Categorical, 2));
  FisherOptions options;
  options.max_memory_bytes = 1000;
  CHECK_THROWS_AS(compute_fisher(network, *data, options, Context(1)), ArgumentError);
}

TEST_CASE("a subset has the size asked for, is the same for the same seed and differs for another") {
  constexpr std::size_t kCount = 60, kClasses = 3;
  const Network network = make_network("mlp:60-3", 4);
  const Samples samples = one_hot_samples(kCount, kClasses);
  const auto chosen = [&](std::uint64_t seed) {
    const FisherDiagonal fisher = compute_subset(network, samples, {EstimatorKind::MonteCarlo, 2, seed}, 20);
    CHECK(fisher.metadata().samples == 20);
    std::set<std::size_t> indices;
    for (std::size_t n = 0; n < kCount; ++n)
      if (fisher.values()[n] > 0) indices.insert(n);
    return indices;
  };
  CHECK(chosen(1).size() == 20);
  CHECK(chosen(1) == chosen(1));
  CHECK(chosen(1) != chosen(2));
}

TEST_CASE("every sample has the same chance to be in a subset") {
  const Network network = make_network("mlp:12-2", 4);
  const Samples samples = one_hot_samples(12, 2);
  Vector counts(12, 0.0);
  constexpr int kTrials = 2000;
  for (std::uint64_t seed = 0; seed < kTrials; ++seed) {
    const FisherDiagonal fisher = compute_subset(network, samples, {EstimatorKind::Empirical, 1, seed}, 4);
    for (std::size_t n = 0; n < 12; ++n) counts[n] += fisher.values()[n] > 0 ? 1 : 0;
  }
  // Each count is binomial(2000, 1/3): sd 21.1; 6 sd for 12 counts: 2e-8.
  for (double count : counts) CHECK(std::abs(count - kTrials / 3.0) < 6 * 21.1);
}

TEST_CASE("draws of a sample are keyed by its place in the dataset, whatever else is in the subset") {
  constexpr std::size_t kCount = 60, kClasses = 3;
  const Network network = make_network("mlp:60-3", 4);
  const Samples samples = one_hot_samples(kCount, kClasses);
  for (EstimatorKind kind : {EstimatorKind::MonteCarlo, EstimatorKind::Sketch}) {
    const Estimator estimator{kind, 3, 17};
    const FisherDiagonal all = compute_subset(network, samples, estimator, kCount);
    const FisherDiagonal some = compute_subset(network, samples, estimator, 25);
    std::size_t shared = 0;
    for (std::size_t n = 0; n < kCount; ++n) {
      if (some.values()[n] == 0) continue;
      ++shared;
      // One sample alone makes the column: nothing else is added, so the bits are equal.
      for (std::size_t o = 0; o < kClasses; ++o)
        CHECK(some.values()[o * kCount + n] == all.values()[o * kCount + n]);
    }
    CHECK(shared == 25);
  }
}

TEST_CASE("a subset larger than the data is all of it") {
  const Network network = make_network("mlp:60-3", 4);
  const Samples samples = one_hot_samples(60, 3);
  const Estimator estimator{EstimatorKind::MonteCarlo, 2, 1};
  CHECK(compute_subset(network, samples, estimator, 1000).sha256() ==
        compute_subset(network, samples, estimator, 60).sha256());
}
