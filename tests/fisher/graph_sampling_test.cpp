// Subsets of what goes through graphs: what each sample adds to each layer, errors, unbiased means.
#include <cmath>
#include <numeric>
#include <utility>

#include "fisher/graph_cases.hpp"
#include "fisher/outcomes.hpp"
#include "fisher/subset_runs.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/sample_scores.hpp"
#include "fisherdiag/fisher/trace_parts.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr const char* kNet = R"({"input": [2, 4, 4], "layers": [
    {"type": "conv2d", "name": "c1", "out": 3, "kernel": 3, "padding": 1}, {"type": "batch_norm", "name": "bn"},
    {"type": "tanh"}, {"type": "conv2d", "name": "c2", "out": 3, "kernel": 3, "padding": 1, "weight": "c3.weight"},
    {"type": "tanh"}, {"type": "conv2d", "name": "c3", "out": 3, "kernel": 3, "padding": 1}, {"type": "flatten"},
    {"type": "linear", "name": "head", "out": 3}]})";

Samples only(const Samples& samples, std::size_t n) {
  Samples one = samples;
  const auto row = [n](const std::vector<float>& all, std::size_t width) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(n * width);
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(width));
  };
  one.inputs = row(samples.inputs, samples.features);
  one.targets = row(samples.targets, samples.target_width);
  return one;
}

SampleScores score(const Network& network, const Samples& samples, EstimatorKind kind, int threads,
                   std::size_t block_rows, Isa isa = default_isa()) {
  const auto data = reference::to_dataset(samples);
  ScoreOptions options;
  options.estimator = {kind, 2, 5};
  options.block_rows = block_rows;
  double reading = 0;
  return score_samples(network, *data, options, Context(threads, isa), reading);
}

struct Pass {
  AlignedBuffer<double> sum;
  std::vector<double> traces;  // [samples, parts]
};

/// A pass of one block; `traces`: with traces.
Pass run_pass(const Network& network, const Samples& samples, const Estimator& estimator,
              const Context& context, bool traces = true, std::span<const float> weights = {}) {
  FisherOptions options;
  options.estimator = estimator;
  const std::size_t chain = pass_chain_rows(network.architecture(), options, context);
  const std::size_t rows = (samples.size() + chain - 1) / chain * chain;
  const auto pass = make_pass(network, options, rows, 0, context);
  std::vector<std::uint64_t> indices(samples.size());
  std::iota(indices.begin(), indices.end(), std::uint64_t{0});
  const std::size_t parts = trace_part_count(network.architecture().parameters());
  std::vector<double> each(traces ? samples.size() * parts : 0, -1.0);
  pass->add({samples.inputs.data(), samples.size(), samples.features},
            {samples.targets.data(), samples.size(), samples.target_width}, indices, weights,
            {each.data(), traces ? samples.size() : 0, parts});
  return {pass->take_sum(), std::move(each)};
}

}  // namespace

TEST_CASE("tensors called alike up to the last dot are one part of a trace", "[fisher]") {
  const std::vector<ParameterTensor> tensors{{"a.weight", {1}, 0, 1},
                                             {"a.bias", {1}, 1, 1},
                                             {"a.b.weight", {1}, 2, 1},
                                             {"c", {1}, 3, 1},
                                             {"a.scale", {1}, 4, 1}};
  CHECK(trace_parts(tensors) == std::vector<std::size_t>{0, 0, 1, 2, 0});
  CHECK(trace_part_count(tensors) == 3);
  CHECK(trace_part_count({}) == 1);
  CHECK(trace_part_count(Architecture::parse("mlp:4-3-2").parameters()) == 2);
}

TEST_CASE("what each sample adds to each layer of a graph is that of the definition", "[fisher]") {
  for (const GraphCase& c : all_cases())
    for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Sketch}) {
      CAPTURE(c.name, estimator_name(kind));
      const Network network = make_network(c.json, 3, 1.5F);
      const Samples samples = make_samples(network, 3, Likelihood::Categorical, 5);
      const std::vector<ParameterTensor>& tensors = network.architecture().parameters();
      const std::vector<std::size_t> parts = trace_parts(tensors);
      const std::size_t count = trace_part_count(tensors);
      const Pass pass = run_pass(network, samples, estimator_of(kind), Context(1));
      for (std::size_t n = 0; n < samples.size(); ++n) {
        if (kind == EstimatorKind::Sketch && n > 0) continue;  // draws are those of the sample's own number
        const Vector f =
            reference::fisher_diagonal(reference::make_mlp(network), only(samples, n), estimator_of(kind),
                                       Likelihood::Categorical, Normalization::Sum);
        Vector expected(count, 0.0);
        for (std::size_t t = 0; t < tensors.size(); ++t)
          for (std::size_t i = 0; i < tensors[t].size; ++i) expected[parts[t]] += f[tensors[t].offset + i];
        // As F itself.
        for (std::size_t p = 0; p < count; ++p)
          REQUIRE(std::abs(pass.traces[n * count + p] - expected[p]) <= 1e-5 * expected[p]);
      }
    }
}

TEST_CASE("traces leave the bits of a graph's sum alone and depend on no number of threads", "[fisher]") {
  for (const GraphCase& c : all_cases())
    for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact}) {
      CAPTURE(c.name, estimator_name(kind));
      const Network network = make_network(c.json, 3);
      const Samples samples = make_samples(network, 60, Likelihood::Categorical, 5);
      const Pass pass = run_pass(network, samples, estimator_of(kind), Context(1));
      const Pass other = run_pass(network, samples, estimator_of(kind), Context(3));
      CHECK(std::ranges::equal(other.sum, pass.sum));
      CHECK(other.traces == pass.traces);
      const Pass plain = run_pass(network, samples, estimator_of(kind), Context(1), false);
      CHECK(std::ranges::equal(plain.sum, pass.sum));
    }
}

TEST_CASE("traces of all seeds where seeds are taken in groups", "[fisher]") {
  // 59 seeds of a wide layer at 100 positions, which do not fit at once.
  const Network network = make_network(R"({"sequence": [100, 4], "layers": [
      {"type": "linear", "name": "a", "out": 512}, {"type": "layer_norm", "name": "n"},
      {"type": "sequence_mean"}, {"type": "linear", "name": "head", "out": 60}]})",
                                       3);
  const Samples samples = make_samples(network, 3, Likelihood::Categorical, 5);
  const std::vector<ParameterTensor>& tensors = network.architecture().parameters();
  REQUIRE(trace_part_count(tensors) == 3);
  const Pass pass = run_pass(network, samples, {EstimatorKind::Exact}, Context(2));
  for (std::size_t p = 0; p < 3; ++p) {
    double expected = 0, trace = 0;
    for (std::size_t t = 2 * p; t < 2 * p + 2; ++t)
      for (std::size_t i = 0; i < tensors[t].size; ++i) expected += pass.sum[tensors[t].offset + i];
    for (std::size_t n = 0; n < 3; ++n) trace += pass.traces[3 * n + p];
    // The same squares in chains of other lengths.
    CHECK_THAT(trace, Catch::Matchers::WithinRel(expected, 1e-5));
  }
}

TEST_CASE("a graph's subset is unbiased, and its standard error is honest", "[fisher]") {
  const Network network = make_network(kNet, 3, 3);
  const Samples samples = make_samples(network, 40, Likelihood::Categorical, 4);
  constexpr std::size_t kTrials = 400, kScalars = 10;
  const Scalars scalars(kScalars, network.parameters().size(), 5);
  for (const auto& [kind, how] : {std::pair(EstimatorKind::Empirical, SubsetKind::Uniform),
                                  std::pair(EstimatorKind::Exact, SubsetKind::Uniform),
                                  std::pair(EstimatorKind::Empirical, SubsetKind::Importance),
                                  std::pair(EstimatorKind::Exact, SubsetKind::Importance)}) {
    CAPTURE(estimator_name(kind), subset_name(how));
    const FisherDiagonal all = run(network, samples, subset(kind, SubsetKind::All, {}));
    Vector truth = scalars.of(values_of(all));
    truth.push_back(all.trace());
    Vector mean(kScalars + 1, 0.0), square(kScalars + 1, 0.0);
    double squared_error = 0;
    for (std::size_t trial = 0; trial < kTrials; ++trial) {
      const FisherDiagonal fisher = run(network, samples, subset(kind, how, 10, trial));
      Vector values = scalars.of(values_of(fisher));
      values.push_back(fisher.trace());
      for (std::size_t j = 0; j <= kScalars; ++j) {
        const double deviation = values[j] - truth[j];
        mean[j] += deviation / kTrials;
        square[j] += deviation * deviation / kTrials;
      }
      squared_error += std::pow(*fisher.metadata().sampling.trace_standard_error, 2) / kTrials;
      CHECK(fisher.metadata().sampling.layer_trace_standard_error.size() == 5);
    }
    // |z| > 6 has probability 2e-9 for each of 11 scalars and 4 settings: 9e-8 in all.
    for (std::size_t j = 0; j <= kScalars; ++j)
      CHECK(std::abs(mean[j]) <= 6 * std::sqrt(square[j] / kTrials));
    // A bias of 15% of the trace is more than 6 + 3 standard errors: missed with probability 1e-3.
    CHECK(0.15 * truth.back() > 9 * std::sqrt(square.back() / kTrials));
    // Unbiased; 400 trials have a variance good to 7.1%, were they normal: 5 of them.
    if (how == SubsetKind::Uniform) CHECK(std::abs(squared_error / square.back() - 1) < 0.36);
  }
}

TEST_CASE("importance: the standard error of a graph's trace is honest, and smaller than a uniform subset's",
          "[fisher]") {
  const Network network = make_network(kNet, 3, 3);
  const Samples samples = make_samples(network, 1500, Likelihood::Categorical, 4);
  constexpr std::size_t kTrials = 100;
  const double truth = run(network, samples, subset(EstimatorKind::Empirical, SubsetKind::All, {})).trace();
  double square[2] = {}, estimate[2] = {};
  for (std::size_t trial = 0; trial < kTrials; ++trial)
    for (const SubsetKind how : {SubsetKind::Uniform, SubsetKind::Importance}) {
      const std::size_t i = how == SubsetKind::Importance;
      const FisherDiagonal fisher = run(network, samples, subset(EstimatorKind::Empirical, how, 100, trial));
      square[i] += std::pow(fisher.trace() - truth, 2) / kTrials;
      estimate[i] += std::pow(*fisher.metadata().sampling.trace_standard_error, 2) / kTrials;
    }
  // 100 trials have a variance good to 14%, were they normal: 4 of them below. Above, what the strata gain.
  CAPTURE(square[0], square[1], estimate[1]);
  CHECK(estimate[1] / square[1] > 0.44);
  CHECK(estimate[1] / square[1] < 3);
  // Both variances to four of their standard errors.
  CHECK(square[1] < 0.5 * square[0]);
}

TEST_CASE("a graph's score is the trace of a last layer that is linear", "[fisher]") {
  for (const GraphCase& c : all_cases())
    for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Sketch}) {
      CAPTURE(c.name, estimator_name(kind));
      const Network network = make_network(c.json, 3, 1.5F);
      const Samples samples = make_samples(network, 5, Likelihood::Categorical, 5);
      const bool drawn = kind == EstimatorKind::Sketch;  // scored by what it estimates
      const Estimator expected{drawn ? EstimatorKind::Exact : kind};
      const SampleScores scores = score(network, samples, kind, 1, 64);
      std::vector<SampleScores> levels;
      for (const Isa isa : available_isas()) levels.push_back(score(network, samples, kind, 2, 64, isa));
      for (std::size_t n = 0; n < samples.size(); ++n) {
        const Vector f = reference::fisher_diagonal(reference::make_mlp(network), only(samples, n), expected,
                                                    Likelihood::Categorical, Normalization::Sum);
        double trace = 0;
        const auto& tensors = network.architecture().parameters();
        for (std::size_t t = 0; t < tensors.size(); ++t)
          if (tensors[t].name.starts_with("head."))
            for (std::size_t i = 0; i < tensors[t].size; ++i) trace += f[tensors[t].offset + i];
        // As F itself.
        for (const SampleScores& level : levels)
          REQUIRE_THAT(level.norms[n], Catch::Matchers::WithinRel(trace, 1e-5));
      }
      // Any number of threads and rows of a block.
      const SampleScores others = score(network, samples, kind, 3, 2);
      CHECK(others.norms == scores.norms);
      CHECK(others.strata == scores.strata);
    }
}

TEST_CASE("a graph whose last layer is not linear is scored by its seeds", "[fisher]") {
  const Network network = make_network(R"({"input": [4], "layers": [
      {"type": "linear", "name": "a", "out": 3}, {"type": "tanh"}]})",
                                       3);
  const Samples samples = make_samples(network, 5, Likelihood::Categorical, 5);
  const SampleScores scores = score(network, samples, EstimatorKind::Empirical, 1, 64);
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const Vector z = reference::forward(reference::make_mlp(network), samples.input(n));
    double norm = 0;
    for (const double s : reference::nll_gradient(Likelihood::Categorical, z, samples.target(n)))
      norm += s * s;
    CHECK_THAT(scores.norms[n], Catch::Matchers::WithinRel(norm, 1e-5));
  }
}

TEST_CASE("a weight is worth as many samples in a graph", "[fisher]") {
  for (const GraphCase& c : all_cases())
    for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact}) {
      CAPTURE(c.name, estimator_name(kind));
      const Network network = make_network(c.json, 3, 1.5F);
      const Samples samples = make_samples(network, 8, Likelihood::Categorical, 5);
      Samples repeated = samples;
      repeated.inputs.clear();
      repeated.targets.clear();
      std::vector<float> weights;
      for (std::size_t n = 0; n < samples.size(); ++n) {
        weights.push_back(static_cast<float>(n % 4));
        const Samples one = only(samples, n);
        for (std::size_t k = 0; k < n % 4; ++k) {
          repeated.inputs.insert(repeated.inputs.end(), one.inputs.begin(), one.inputs.end());
          repeated.targets.insert(repeated.targets.end(), one.targets.begin(), one.targets.end());
        }
      }
      const Pass pass = run_pass(network, samples, {kind}, Context(2), true, weights);
      const FisherDiagonal expected =
          compute(network, repeated, {kind}, Likelihood::Categorical, default_isa(), 1, Normalization::Sum);
      // Roots of weights are rounded once, twice squared: 2e-7; sums over positions: typically 1e-6.
      CHECK(worst_tensor_error(expected, Vector(pass.sum.begin(), pass.sum.end())) <= 1e-5);
      double trace = 0;
      for (const double part : pass.traces) trace += part;
      CHECK_THAT(trace, Catch::Matchers::WithinRel(expected.trace(), 1e-5));
    }
}

TEST_CASE("an importance subset of a graph has the bits of any threads and keeps its memory", "[fisher]") {
  const Network network = make_network(kNet, 3, 3);
  const Samples samples = make_samples(network, 900, Likelihood::Categorical, 4);
  const auto data = reference::to_dataset(samples);
  for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Sketch})
    for (FisherOptions options :
         {subset(kind, SubsetKind::Importance, 300), subset(kind, SubsetKind::Importance, 900)}) {
      const FisherDiagonal one = run(network, samples, options);
      for (const int threads : {2, 3, 7}) {
        const FisherDiagonal other = run(network, samples, options, threads);
        CHECK(other.sha256() == one.sha256());
        CHECK(other.metadata().to_strings() == one.metadata().to_strings());
      }
      if (one.metadata().samples == 900)
        CHECK(one.sha256() == run(network, samples, subset(kind, SubsetKind::All, {})).sha256());
      FisherStatistics free, bounded;
      compute_fisher(network, *data, options, Context(2), &free);
      options.max_memory_bytes = free.workspace_bytes;
      CHECK(compute_fisher(network, *data, options, Context(2), &bounded).sha256() == one.sha256());
      CHECK(bounded.workspace_bytes <= options.max_memory_bytes);
    }
}

TEST_CASE("a graph's until stops at the first round that is good enough, with the bits of any threads",
          "[fisher]") {
  const Network network = make_network(kNet, 3, 3);
  const Samples samples = make_samples(network, 3000, Likelihood::Categorical, 4);
  FisherOptions options = subset(EstimatorKind::Empirical, SubsetKind::All, {});
  const FisherDiagonal all = run(network, samples, options);
  options.until = 1;
  const double first = *run(network, samples, options).metadata().sampling.relative_trace_standard_error;
  options.until = 0.6 * first;
  const FisherDiagonal fisher = run(network, samples, options);
  const SamplingRecord& sampling = fisher.metadata().sampling;
  CHECK((fisher.metadata().samples == 1024 || fisher.metadata().samples == 2048));
  CHECK(*sampling.relative_trace_standard_error <= 0.6 * first);
  // 6 standard errors: 2e-9, a little more for stopping where the estimate looks good.
  CHECK(std::abs(fisher.trace() - all.trace()) <= 6 * *sampling.trace_standard_error);
  for (const int threads : {2, 3, 7}) {
    const FisherDiagonal other = run(network, samples, options, threads);
    CHECK(other.sha256() == fisher.sha256());
    CHECK(other.metadata().to_strings() == fisher.metadata().to_strings());
  }
  options.until = 1e-9;
  const FisherDiagonal exhausted = run(network, samples, options);
  CHECK(exhausted.metadata().samples == 3000);
  CHECK(exhausted.metadata().sampling.trace_standard_error == 0.0);
  // The same samples in chains of other lengths.
  CHECK(reference::relative_error(values_of(exhausted), values_of(all)) <= 4e-6);
}
