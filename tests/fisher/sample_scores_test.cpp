// Scores against the float64 reference of the last layer.
#include "fisherdiag/fisher/sample_scores.hpp"

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

ScoreOptions options_of(const Estimator& estimator, Likelihood likelihood = Likelihood::Categorical) {
  ScoreOptions options;
  options.estimator = estimator;
  options.likelihood = likelihood;
  return options;
}

SampleScores score(const Network& network, const Samples& samples, const ScoreOptions& options,
                   int threads = 2, Isa isa = default_isa()) {
  const auto data = reference::to_dataset(samples);
  double reading = 0;
  return score_samples(network, *data, options, Context(threads, isa), reading);
}

/// Trace of the last layer's part of one sample's F.
double last_layer_trace(const Network& network, const Samples& samples, std::size_t n,
                        const Estimator& estimator, Likelihood likelihood) {
  Samples one = samples;
  one.inputs.assign(samples.inputs.begin() + n * samples.features,
                    samples.inputs.begin() + (n + 1) * samples.features);
  one.targets.assign(samples.targets.begin() + n * samples.target_width,
                     samples.targets.begin() + (n + 1) * samples.target_width);
  const Vector fisher = reference::fisher_diagonal(reference::make_mlp(network), one, estimator, likelihood,
                                                   Normalization::Sum);
  double trace = 0;
  const Architecture& architecture = network.architecture();
  for (std::size_t i = architecture.weight_offset(architecture.layers().size() - 1); i < fisher.size(); ++i)
    trace += fisher[i];
  return trace;
}

}  // namespace

TEST_CASE("a score is the trace of the last layer's part of the sample's F") {
  for (const char* architecture : {"mlp:7-5", "mlp:7-37-18-5:tanh", "mlp:7-9-37:relu"})
    for (Likelihood likelihood : {Likelihood::Categorical, Likelihood::Bernoulli})
      for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::MonteCarlo,
                                 EstimatorKind::Sketch, EstimatorKind::Predicted}) {
        INFO(architecture << " " << std::string(estimator_name(kind)));
        const Network network = make_network(architecture, 1);
        const Samples samples = make_samples(network, 20, likelihood, 2);
        const Estimator estimator{kind, 3, 8};
        // mc and sketch are scored by what they estimate.
        const bool drawn = kind == EstimatorKind::MonteCarlo || kind == EstimatorKind::Sketch;
        const Estimator expected{drawn ? EstimatorKind::Exact : kind};
        for (Isa isa : available_isas()) {
          const SampleScores scores = score(network, samples, options_of(estimator, likelihood), 2, isa);
          REQUIRE(scores.norms.size() == 20);
          for (std::size_t n = 0; n < 20; ++n)
            // A squared float32 gradient: 1e-5, as for F itself.
            CHECK_THAT(scores.norms[n],
                       Catch::Matchers::WithinRel(last_layer_trace(network, samples, n, expected, likelihood),
                                                  1e-5));
        }
      }
}

TEST_CASE("a stratum is the outputs with the two largest squares") {
  // One layer without weights: logits are the biases.
  Network network{Architecture::parse("mlp:2-4")};
  const float biases[] = {0.0f, 3.0f, 1.0f, 2.0f};
  for (std::size_t c = 0; c < 4; ++c) network.parameters()[8 + c] = biases[c];
  Samples samples = make_samples(network, 2, Likelihood::Categorical, 2);
  samples.targets = {2, 1};
  const auto stratum = [](std::uint64_t first, std::uint64_t second) { return first << 32 | second; };
  // p rises with the bias. exact: p(1-p) does too, as long as p is below 1/2 or largest. empirical: the
  // label's entry is minus the sum of the others, so it is the largest; then the largest p.
  CHECK(score(network, samples, options_of({EstimatorKind::Exact})).strata ==
        std::vector<std::uint64_t>{stratum(1, 3), stratum(1, 3)});
  CHECK(score(network, samples, options_of({EstimatorKind::Empirical})).strata ==
        std::vector<std::uint64_t>{stratum(2, 1), stratum(1, 3)});
}

TEST_CASE("scores have the same bits for any threads and blocks") {
  const Network network = make_network("mlp:7-37-18-5:tanh", 1);
  const Samples samples = make_samples(network, 1000, Likelihood::Categorical, 2);
  const SampleScores one = score(network, samples, {}, 1);
  for (int threads : {2, 3, 7})
    for (std::size_t rows : {1u, 100u, 512u, 4096u}) {
      ScoreOptions options;
      options.block_rows = rows;
      const SampleScores other = score(network, samples, options, threads);
      CHECK(other.norms == one.norms);
      CHECK(other.strata == one.strata);
    }
}

TEST_CASE("a bad label is an error naming the sample") {
  const Network network = make_network("mlp:7-5", 1);
  Samples samples = make_samples(network, 300, Likelihood::Categorical, 2);
  samples.targets[270] = 5;
  CHECK_THROWS_AS(score(network, samples, {}), DataError);
}
