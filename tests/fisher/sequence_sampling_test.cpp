// Subsets and standard errors of networks with an output at each position of a sequence.
#include <cmath>
#include <numeric>
#include <utility>

#include "fisher/outcomes.hpp"
#include "fisher/sequence_fixture.hpp"
#include "fisher/subset_runs.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/sample_scores.hpp"
#include "fisherdiag/fisher/trace_parts.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr std::size_t kPositions = 3, kClasses = 3;

const std::string kTied = tied_model(kPositions, kClasses);
const std::string kNumbers = number_model(kPositions, 4, 5, kClasses);

struct Setting {
  std::string json;
  EstimatorKind kind;
  LikelihoodUnit unit;
  std::size_t ignored;  // one label in so many; 0: none
};
/// Draws are those of a sample's own number, which the definition of a sample alone does not know.
const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = [] {
    std::vector<Setting> list;
    for (const std::string& json : {kTied, kNumbers})
      for (const EstimatorKind kind :
           {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Predicted})
        for (const LikelihoodUnit unit : {LikelihoodUnit::Sequence, LikelihoodUnit::Token})
          for (const std::size_t ignored : {0, 3}) list.push_back({json, kind, unit, ignored});
    return list;
  }();
  return all;
}

/// Each sample's own diagonal by the definition.
std::vector<Vector> each_diagonal(const Network& network, const Samples& samples,
                                  const Estimator& estimator) {
  const reference::Mlp mlp = reference::make_mlp(network);
  std::vector<Vector> each;
  for (std::size_t n = 0; n < samples.size(); ++n) {
    Samples one = samples;
    one.inputs.assign(samples.inputs.begin() + n * samples.features,
                      samples.inputs.begin() + (n + 1) * samples.features);
    one.targets.assign(samples.targets.begin() + n * samples.target_width,
                       samples.targets.begin() + (n + 1) * samples.target_width);
    each.push_back(reference::sequence_diagonal(mlp, one, kPositions, estimator));
  }
  return each;
}

Estimator estimator_of(const Setting& setting) {
  return {.kind = setting.kind, .draws = 2, .seed = 5, .unit = setting.unit};
}

FisherOptions options_of(EstimatorKind kind, LikelihoodUnit unit, SubsetKind how,
                         std::optional<std::size_t> size, std::uint64_t seed = 1) {
  FisherOptions options = subset(kind, how, size, seed);
  options.estimator.unit = unit;
  return options;
}

void require_same_for_all_threads(const Network& network, const Samples& samples,
                                  const FisherOptions& options) {
  const FisherDiagonal one = run(network, samples, options);
  for (const int threads : {2, 3, 7}) {
    const FisherDiagonal other = run(network, samples, options, threads);
    REQUIRE(other.sha256() == one.sha256());
    REQUIRE(std::ranges::equal(other.standard_errors(), one.standard_errors()));
    REQUIRE(other.metadata().to_strings() == one.metadata().to_strings());
  }
}

}  // namespace

TEST_CASE("what each sequence adds to each layer is that of the definition", "[fisher]") {
  for (const Setting& setting : settings()) {
    CAPTURE(setting.json, estimator_name(setting.kind), likelihood_unit_name(setting.unit), setting.ignored);
    const Network network = make_network(setting.json, 3, 1.5F);
    const Samples samples = sequences_of(network, 4, setting.ignored);
    const std::vector<ParameterTensor>& tensors = network.architecture().parameters();
    const std::vector<std::size_t> parts = trace_parts(tensors);
    const std::size_t count = trace_part_count(tensors);
    FisherOptions options;
    options.estimator = estimator_of(setting);
    const Context context(2);
    const auto pass =
        make_pass(network, options, pass_chain_rows(network.architecture(), options, context), 0, context);
    const std::vector<std::uint64_t> indices{0, 1, 2, 3};
    const std::vector<float> weights{1, 0.25f, 0, 3};
    std::vector<double> traces(4 * count, -1.0);
    pass->add({samples.inputs.data(), 4, samples.features}, {samples.targets.data(), 4, samples.target_width},
              indices, weights, {traces.data(), 4, count});
    const std::vector<Vector> each = each_diagonal(network, samples, options.estimator);
    for (std::size_t n = 0; n < 4; ++n) {
      Vector expected(count, 0.0);
      for (std::size_t t = 0; t < tensors.size(); ++t)
        for (std::size_t i = 0; i < tensors[t].size; ++i)
          expected[parts[t]] += static_cast<double>(weights[n]) * each[n][tensors[t].offset + i];
      // As F itself: sensitivities have a relative error of about 1e-6, their squares twice that.
      for (std::size_t p = 0; p < count; ++p)
        REQUIRE(std::abs(traces[n * count + p] - expected[p]) <= 1e-5 * expected[p]);
    }
  }
}

TEST_CASE("standard errors of sequences are those of the definition", "[fisher]") {
  for (const Setting& setting : settings()) {
    CAPTURE(setting.json, estimator_name(setting.kind), likelihood_unit_name(setting.unit), setting.ignored);
    const Network network = make_network(setting.json, 3, 1.5F);
    const Samples samples = sequences_of(network, 9, setting.ignored);
    FisherOptions options;
    options.estimator = estimator_of(setting);
    options.standard_error = true;
    const FisherDiagonal fisher = run(network, samples, options, 2);
    const std::vector<Vector> each = each_diagonal(network, samples, options.estimator);
    Vector errors(each.front().size());
    for (std::size_t i = 0; i < errors.size(); ++i) {
      double mean = 0, squares = 0;
      for (const Vector& f : each) mean += f[i] / 9;
      for (const Vector& f : each) squares += (f[i] - mean) * (f[i] - mean);
      errors[i] = std::sqrt(squares / 8 / 9);
    }
    REQUIRE(fisher.standard_errors().size() == errors.size());
    for (const ParameterTensor& tensor : fisher.tensors()) {
      const Vector own(fisher.standard_errors().begin() + tensor.offset,
                       fisher.standard_errors().begin() + tensor.offset + tensor.size);
      const Vector expected(errors.begin() + tensor.offset, errors.begin() + tensor.offset + tensor.size);
      CAPTURE(tensor.name);
      // The relative error of F's float sums, 1e-5, about twice, for squares, and over the variance's share
      // of them.
      REQUIRE(reference::relative_error(own, expected) <= 1e-4);
    }
  }
}

TEST_CASE("a subset of sequences is unbiased, and its standard error is honest", "[fisher]") {
  const Network network = make_network(kTied, 3, 1.5F);
  const Samples samples = sequences_of(network, 40, 4);
  constexpr std::size_t kTrials = 400, kScalars = 10;
  const Scalars scalars(kScalars, network.parameters().size(), 5);
  for (const auto& [kind, unit] : {std::pair(EstimatorKind::Empirical, LikelihoodUnit::Sequence),
                                   std::pair(EstimatorKind::Empirical, LikelihoodUnit::Token),
                                   std::pair(EstimatorKind::Exact, LikelihoodUnit::Sequence)})
    for (const SubsetKind how : {SubsetKind::Uniform, SubsetKind::Importance}) {
      CAPTURE(estimator_name(kind), likelihood_unit_name(unit), subset_name(how));
      // The truth is the reference's: an engine that is biased everywhere would agree with itself.
      const Vector all = reference::sequence_diagonal(reference::make_mlp(network), samples, kPositions,
                                                      {.kind = kind, .unit = unit});
      Vector truth = scalars.of(all);
      truth.push_back(std::accumulate(all.begin(), all.end(), 0.0));
      Vector mean(kScalars + 1, 0.0), square(kScalars + 1, 0.0);
      double squared_error = 0;
      for (std::size_t trial = 0; trial < kTrials; ++trial) {
        const FisherDiagonal fisher = run(network, samples, options_of(kind, unit, how, 20, trial));
        Vector values = scalars.of(values_of(fisher));
        values.push_back(fisher.trace());
        for (std::size_t j = 0; j <= kScalars; ++j) {
          const double deviation = values[j] - truth[j];
          mean[j] += deviation / kTrials;
          square[j] += deviation * deviation / kTrials;
        }
        squared_error += std::pow(*fisher.metadata().sampling.trace_standard_error, 2) / kTrials;
      }
      // |z| > 6 has probability 2e-9 for each of 11 scalars and 6 settings: 1.3e-7 in all.
      for (std::size_t j = 0; j <= kScalars; ++j)
        CHECK(std::abs(mean[j]) <= 6 * std::sqrt(square[j] / kTrials));
      // A bias of 10% of the trace is more than 6 + 3 standard errors: missed with probability 1e-3.
      CHECK(0.1 * truth.back() > 9 * std::sqrt(square.back() / kTrials));
      // Unbiased; 400 trials have a variance good to 7.1%, were they normal: 5 of them. Importance: above,
      // what the strata gain.
      const double ratio = squared_error / square.back();
      CAPTURE(ratio);
      if (how == SubsetKind::Uniform) CHECK(std::abs(ratio - 1) < 0.36);
      if (how == SubsetKind::Importance) CHECK((ratio > 0.64 && ratio < 4));
    }
}

TEST_CASE("sequences are scored by what their positions add to a last layer that is linear", "[fisher]") {
  const Network network = make_network(kNumbers, 3, 1.5F);
  const Samples samples = sequences_of(network, 5, 3);
  const auto data = reference::to_dataset(samples);
  for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact}) {
    // Token by token: the cross terms of a sequence's own square are left out.
    const std::vector<Vector> each =
        each_diagonal(network, samples, {.kind = kind, .unit = LikelihoodUnit::Token});
    ScoreOptions options;
    options.estimator = {kind};
    options.block_rows = 64;
    double reading = 0;
    const SampleScores scores = score_samples(network, *data, options, Context(2), reading);
    for (std::size_t n = 0; n < 5; ++n) {
      double trace = 0;
      for (const ParameterTensor& tensor : network.architecture().parameters())
        if (tensor.name.starts_with("head."))
          for (std::size_t i = 0; i < tensor.size; ++i) trace += each[n][tensor.offset + i];
      CHECK_THAT(scores.norms[n], Catch::Matchers::WithinRel(trace, 1e-5));  // as F itself
    }
  }
}

TEST_CASE("until over sequences stops where it is good enough", "[fisher]") {
  const Network network = make_network(kTied, 3, 1.5F);
  const Samples samples = sequences_of(network, 2500, 4);
  const Vector all = reference::sequence_diagonal(reference::make_mlp(network), samples, kPositions,
                                                  {.kind = EstimatorKind::Empirical});
  const double truth = std::accumulate(all.begin(), all.end(), 0.0);
  for (const SubsetKind how : {SubsetKind::All, SubsetKind::Importance}) {
    FisherOptions options = options_of(EstimatorKind::Empirical, LikelihoodUnit::Sequence, how, {});
    options.until = 1;
    const double first = *run(network, samples, options).metadata().sampling.relative_trace_standard_error;
    options.until = 0.6 * first;
    const FisherDiagonal fisher = run(network, samples, options);
    const SamplingRecord& sampling = fisher.metadata().sampling;
    CAPTURE(subset_name(how), fisher.metadata().samples);
    CHECK(fisher.metadata().samples < 2500);
    CHECK(*sampling.relative_trace_standard_error <= 0.6 * first);
    // 6 standard errors: 2e-9, a little more for stopping where the estimate looks good.
    CHECK(std::abs(fisher.trace() - truth) <= 6 * *sampling.trace_standard_error);
    require_same_for_all_threads(network, samples, options);
  }
}

TEST_CASE("subsets and standard errors of sequences have the same bits for every number of threads",
          "[fisher]") {
  for (const std::string& json : {kTied, kNumbers}) {
    const Network network = make_network(json, 3, 1.5F);
    const Samples samples = sequences_of(network, 300, 4);
    for (const LikelihoodUnit unit : {LikelihoodUnit::Sequence, LikelihoodUnit::Token})
      for (const EstimatorKind kind :
           {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Sketch}) {
        CAPTURE(json, estimator_name(kind), likelihood_unit_name(unit));
        require_same_for_all_threads(network, samples, options_of(kind, unit, SubsetKind::Uniform, 100));
        require_same_for_all_threads(network, samples, options_of(kind, unit, SubsetKind::Importance, 100));
        FisherOptions options = options_of(kind, unit, SubsetKind::All, {});
        options.standard_error = true;
        require_same_for_all_threads(network, samples, options);
      }
  }
}
