// Passes over subsets: unbiased, the same bits everywhere, and honest about their error.
#include <cmath>

#include "fisher/outcomes.hpp"
#include "fisher/subset_runs.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/block_pass.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

const std::vector<EstimatorKind> kKinds{EstimatorKind::Empirical, EstimatorKind::Exact,
                                        EstimatorKind::MonteCarlo, EstimatorKind::Sketch,
                                        EstimatorKind::Predicted};

FisherOptions until(EstimatorKind kind, SubsetKind how, double error, std::optional<std::size_t> most = {}) {
  FisherOptions options = subset(kind, how, most);
  options.until = error;
  return options;
}

}  // namespace

TEST_CASE("a subset's mean is unbiased, and its standard error is honest") {
  const Network network = make_network("mlp:4-6-3:tanh", 3, 3);
  const Samples samples = make_samples(network, 60, Likelihood::Categorical, 4);
  constexpr std::size_t kTrials = 2000, kScalars = 20;
  for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact})
    for (SubsetKind how : {SubsetKind::Uniform, SubsetKind::Importance})
      for (Normalization normalization : {Normalization::Mean, Normalization::Sum}) {
        INFO(std::string(estimator_name(kind)) << " " << std::string(subset_name(how)));
        // A uniform subset's sum is the sum of its samples, 15 of 60.
        const double share = how == SubsetKind::Uniform && normalization == Normalization::Sum ? 0.25 : 1;
        FisherOptions options = subset(kind, SubsetKind::All, {});
        options.normalization = normalization;
        const Scalars scalars(kScalars, network.parameters().size(), 5);
        Vector truth = scalars.of(values_of(run(network, samples, options)));
        truth.push_back(run(network, samples, options).trace());
        Vector mean(kScalars + 1, 0.0), square(kScalars + 1, 0.0);
        double squared_error = 0;
        for (std::size_t trial = 0; trial < kTrials; ++trial) {
          options = subset(kind, how, 15, trial);
          options.normalization = normalization;
          const FisherDiagonal fisher = run(network, samples, options);
          Vector values = scalars.of(values_of(fisher));
          values.push_back(fisher.trace());
          for (std::size_t j = 0; j <= kScalars; ++j) {
            const double deviation = values[j] - share * truth[j];
            mean[j] += deviation / kTrials;
            square[j] += deviation * deviation / kTrials;
          }
          squared_error += std::pow(*fisher.metadata().sampling.trace_standard_error, 2) / kTrials;
        }
        // |z| > 6 has probability 2e-9 for each of 21 scalars and 8 settings: 4e-7 in all.
        for (std::size_t j = 0; j <= kScalars; ++j)
          CHECK(std::abs(mean[j]) <= 6 * std::sqrt(square[j] / kTrials));
        // A bias of 5% of the trace is more than 6 + 3 standard errors, so it is missed with probability
        // 1e-3.
        CHECK(0.05 * share * truth.back() > 9 * std::sqrt(square.back() / kTrials));
        // An unbiased estimate of the variance; 2000 trials have a variance good to 3.2%, were they normal.
        if (how == SubsetKind::Uniform) CHECK(std::abs(squared_error / square.back() - 1) < 0.16);
      }
}

TEST_CASE("importance: the standard error is that of the trace, or a little more") {
  const Network network = make_network("mlp:6-9-4:tanh", 3, 3);
  const Samples samples = make_samples(network, 3000, Likelihood::Categorical, 4);
  constexpr std::size_t kTrials = 300;
  for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact}) {
    INFO(std::string(estimator_name(kind)));
    const double truth = run(network, samples, subset(kind, SubsetKind::All, {})).trace();
    double square = 0, estimate = 0;
    for (std::size_t trial = 0; trial < kTrials; ++trial) {
      const FisherDiagonal fisher = run(network, samples, subset(kind, SubsetKind::Importance, 200, trial));
      square += std::pow(fisher.trace() - truth, 2) / kTrials;
      estimate += std::pow(*fisher.metadata().sampling.trace_standard_error, 2) / kTrials;
    }
    // 300 trials have a variance good to 8.2%, were they normal: 4 of them below. Above, what the strata
    // gain.
    CAPTURE(estimate / square);
    CHECK(estimate / square > 0.67);
    CHECK(estimate / square < 3);
  }
}

TEST_CASE("mc and sketch: a subset estimates the same draws over all data") {
  const Network network = make_network("mlp:4-6-3:tanh", 3, 3);
  const Samples samples = make_samples(network, 40, Likelihood::Categorical, 4);
  // With all but one of 40 samples in, F differs from that of all data by one sample's share; other draws
  // would differ by several.
  for (EstimatorKind kind : {EstimatorKind::MonteCarlo, EstimatorKind::Sketch})
    for (SubsetKind how : {SubsetKind::Uniform, SubsetKind::Importance}) {
      const Vector all = values_of(run(network, samples, subset(kind, SubsetKind::All, {})));
      const Vector most = values_of(run(network, samples, subset(kind, how, 39)));
      const Vector others = values_of(run(network, samples, subset(kind, SubsetKind::All, {}, 2)));
      CHECK(reference::relative_error(most, all) < 0.5 * reference::relative_error(others, all));
    }
}

TEST_CASE("a weight is worth as many samples") {
  const Network network = make_network("mlp:5-7-20-4:relu", 3, 2);
  const Samples samples = make_samples(network, 50, Likelihood::Categorical, 4);
  Samples repeated = samples;
  repeated.inputs.clear();
  repeated.targets.clear();
  std::vector<float> weights;
  for (std::size_t n = 0; n < 50; ++n) {
    weights.push_back(static_cast<float>(n % 4));
    for (std::size_t k = 0; k < n % 4; ++k) {
      repeated.inputs.insert(repeated.inputs.end(), samples.inputs.begin() + 5 * n,
                             samples.inputs.begin() + 5 * n + 5);
      repeated.targets.push_back(samples.targets[n]);
    }
  }
  const std::vector<std::uint64_t> indices(50, 0);
  for (Isa isa : available_isas())
    for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Predicted}) {
      const Context context(2, isa);
      BlockPass pass(network, {kind}, Likelihood::Categorical, 512, context);
      std::vector<double> traces(50 * 3);
      pass.add({samples.inputs.data(), 50, 5}, {samples.targets.data(), 50, 1}, indices, weights,
               {traces.data(), 50, 3});
      const AlignedBuffer<double> sum = pass.sums().take();
      const FisherDiagonal expected =
          compute(network, repeated, {kind}, Likelihood::Categorical, isa, 1, Normalization::Sum);
      // Roots of weights are rounded once, twice squared: 2e-7; chains of 50 and 75 terms: typically 1e-6.
      CHECK(reference::relative_error(Vector(sum.begin(), sum.end()), values_of(expected)) <= 4e-6);
      double trace = 0;
      for (const double part : traces) trace += part;
      CHECK_THAT(trace, Catch::Matchers::WithinRel(expected.trace(), 4e-6));
      for (std::size_t l = 0; l < 3; ++l) CHECK(traces[4 * 3 + l] == 0);  // weight 0
    }
}

TEST_CASE("a subset of all samples is all of them, to the bit") {
  const Network network = make_network("mlp:7-9-5:relu", 3, 2);
  const Samples samples = make_samples(network, 700, Likelihood::Categorical, 4);
  for (EstimatorKind kind : kKinds) {
    const std::string all = run(network, samples, subset(kind, SubsetKind::All, {})).sha256();
    for (SubsetKind how : {SubsetKind::Uniform, SubsetKind::Importance})
      for (std::size_t size : {700u, 5000u}) {
        const FisherDiagonal fisher = run(network, samples, subset(kind, how, size));
        CHECK(fisher.sha256() == all);
        CHECK(fisher.metadata().samples == 700);
        CHECK(fisher.metadata().sampling.trace_standard_error == 0.0);
      }
  }
}

TEST_CASE("the same bits for 1, 2, 3 and 7 threads and any memory bound, of subsets too") {
  const Network network = make_network("mlp:37-33-18-11:tanh", 1);
  const Samples samples = make_samples(network, 4000, Likelihood::Categorical, 2);
  for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Sketch})
    for (SubsetKind how : {SubsetKind::Uniform, SubsetKind::Importance})
      for (FisherOptions options : {subset(kind, how, 1300), until(kind, how, 0.02, 2100)}) {
        const FisherDiagonal one = run(network, samples, options);
        for (int threads : {2, 3, 7}) {
          const FisherDiagonal other = run(network, samples, options, threads);
          CHECK(other.sha256() == one.sha256());
          CHECK(other.metadata().to_strings() == one.metadata().to_strings());
        }
        const auto data = reference::to_dataset(samples);
        FisherStatistics free, bounded;
        compute_fisher(network, *data, options, Context(2), &free);
        options.max_memory_bytes = free.workspace_bytes * 9 / 10;
        CHECK(compute_fisher(network, *data, options, Context(2), &bounded).sha256() == one.sha256());
        CHECK(bounded.workspace_bytes <= options.max_memory_bytes);
      }
}

TEST_CASE("max_samples is a uniform subset") {
  const Network network = make_network("mlp:7-9-5:relu", 3, 2);
  const Samples samples = make_samples(network, 300, Likelihood::Categorical, 4);
  FisherOptions options = subset(EstimatorKind::Empirical, SubsetKind::All, {});
  options.max_samples = 100;
  const FisherDiagonal fisher = run(network, samples, options);
  const FisherDiagonal uniform =
      run(network, samples, subset(EstimatorKind::Empirical, SubsetKind::Uniform, 100));
  CHECK(fisher.sha256() == uniform.sha256());
  CHECK(fisher.metadata().to_strings() == uniform.metadata().to_strings());
  options.subset = {SubsetKind::Uniform, 50};
  CHECK_THROWS_AS(run(network, samples, options), ArgumentError);
}

TEST_CASE("until stops at the first round that is good enough") {
  const Network network = make_network("mlp:6-9-4:tanh", 3, 3);
  const Samples samples = make_samples(network, 9000, Likelihood::Categorical, 4);
  const double trace = run(network, samples, subset(EstimatorKind::Empirical, SubsetKind::All, {})).trace();
  for (SubsetKind how : {SubsetKind::All, SubsetKind::Uniform, SubsetKind::Importance}) {
    INFO(std::string(subset_name(how)));
    const double first = *run(network, samples, until(EstimatorKind::Empirical, how, 1))
                              .metadata()
                              .sampling.relative_trace_standard_error;
    const FisherDiagonal fisher = run(network, samples, until(EstimatorKind::Empirical, how, 0.6 * first));
    const SamplingRecord& sampling = fisher.metadata().sampling;
    CHECK((fisher.metadata().samples == 1024 || fisher.metadata().samples == 2048));
    CHECK(*sampling.relative_trace_standard_error <= 0.6 * first);
    CHECK(sampling.until == 0.6 * first);
    CHECK(sampling.population == 9000);
    // 6 standard errors: 2e-9, a little more for stopping where the estimate looks good.
    CHECK(std::abs(fisher.trace() - trace) <= 6 * *sampling.trace_standard_error);
    CHECK_THAT(*sampling.trace_standard_error / *sampling.relative_trace_standard_error,
               Catch::Matchers::WithinRel(fisher.trace(), 1e-6));  // the trace by layers and by elements
    CHECK(sampling.layer_trace_standard_error.size() == 2);
  }
}

TEST_CASE("until takes no more than it may, and all there is if that is not enough") {
  const Network network = make_network("mlp:6-9-4:tanh", 3, 3);
  const Samples samples = make_samples(network, 3000, Likelihood::Categorical, 4);
  const FisherDiagonal all = run(network, samples, subset(EstimatorKind::Exact, SubsetKind::All, {}));
  for (SubsetKind how : {SubsetKind::Uniform, SubsetKind::Importance}) {
    INFO(std::string(subset_name(how)));
    const FisherDiagonal bounded = run(network, samples, until(EstimatorKind::Exact, how, 1e-9, 700));
    CHECK(bounded.metadata().samples == 700);
    CHECK(*bounded.metadata().sampling.relative_trace_standard_error > 1e-9);
    CHECK(std::abs(bounded.trace() - all.trace()) <= 6 * *bounded.metadata().sampling.trace_standard_error);
    const FisherDiagonal exhausted = run(network, samples, until(EstimatorKind::Exact, how, 1e-9));
    CHECK(exhausted.metadata().samples == 3000);
    CHECK(exhausted.metadata().sampling.trace_standard_error == 0.0);
    // The same samples in chains of other lengths.
    CHECK(reference::relative_error(values_of(exhausted), values_of(all)) <= 4e-6);
  }
}

TEST_CASE("what a subset cannot be is refused") {
  const Network network = make_network("mlp:6-9-4:tanh", 3, 3);
  const Samples samples = make_samples(network, 30, Likelihood::Categorical, 4);
  for (const FisherOptions& options :
       {subset(EstimatorKind::Exact, SubsetKind::Uniform, {}),
        subset(EstimatorKind::Exact, SubsetKind::Importance, {}),
        subset(EstimatorKind::Exact, SubsetKind::Uniform, 0),
        subset(EstimatorKind::Batched, SubsetKind::Importance, 9),
        until(EstimatorKind::Exact, SubsetKind::All, 0), until(EstimatorKind::Exact, SubsetKind::All, -1),
        until(EstimatorKind::Exact, SubsetKind::All, INFINITY),
        until(EstimatorKind::Batched, SubsetKind::All, 0.1)})
    CHECK_THROWS_AS(run(network, samples, options), ArgumentError);
  const FisherDiagonal batched =
      run(network, samples, subset(EstimatorKind::Batched, SubsetKind::Uniform, 9));
  CHECK(batched.metadata().samples == 9);
  CHECK_FALSE(batched.metadata().sampling.trace_standard_error);
}

TEST_CASE("one sample gives a value without an error") {
  const Network network = make_network("mlp:6-9-4:tanh", 3, 3);
  const Samples samples = make_samples(network, 30, Likelihood::Categorical, 4);
  for (SubsetKind how : {SubsetKind::Uniform, SubsetKind::Importance}) {
    const FisherDiagonal fisher = run(network, samples, subset(EstimatorKind::Exact, how, 1));
    CHECK(fisher.trace() > 0);
    CHECK(fisher.metadata().sampling.population == 30);
    CHECK_FALSE(fisher.metadata().sampling.trace_standard_error);
  }
}

TEST_CASE("progress of an importance subset rises to its total, and can stop the scores") {
  const Network network = make_network("mlp:6-9-4:tanh", 3, 3);
  const Samples samples = make_samples(network, 5000, Likelihood::Categorical, 4);
  FisherOptions options = subset(EstimatorKind::Exact, SubsetKind::Importance, 600);
  std::vector<std::size_t> done;
  options.progress = [&](std::size_t samples_done, std::size_t total) {
    CHECK(total == 5600);
    done.push_back(samples_done);
    return true;
  };
  run(network, samples, options);
  CHECK(std::is_sorted(done.begin(), done.end()));
  CHECK(done.back() == 5600);
  options.progress = [](std::size_t, std::size_t) { return false; };
  CHECK_THROWS_AS(run(network, samples, options), InterruptedError);
}
