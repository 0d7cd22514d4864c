// The pass in bfloat16 against the float64 batch-of-one reference, with every unit this machine has. A
// machine with none has only its refusal to check.
#include <numeric>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/bf16_pass.hpp"
#include "fisherdiag/fisher/merge.hpp"
#include "fisherdiag/train/trainer.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;
using kernels::Bf16Unit;

namespace {

std::vector<Bf16Unit> units() {
  return kernels::available_bf16_units(available_isas().back());
}

/// Sums, not means. One block, as large as the samples need.
struct PassRun {
  Vector sum;
  std::vector<double> traces;  // [samples, layers]
};

PassRun run_pass(const Network& network, const Samples& samples, const Estimator& estimator,
                 Likelihood likelihood, Bf16Unit unit, int threads = 1, std::size_t block_rows = 4096,
                 std::span<const float> weights = {}) {
  const Context context(threads);
  Bf16Pass pass(network, estimator, likelihood, block_rows, context, kernels::bf16_kernels(unit));
  const std::size_t width = samples.target_width, layers = network.architecture().layers().size();
  std::vector<std::uint64_t> indices(samples.size());
  std::iota(indices.begin(), indices.end(), 0);
  PassRun run;
  run.traces.resize(samples.size() * layers);
  for (std::size_t first = 0; first < samples.size(); first += block_rows) {
    const std::size_t count = std::min(block_rows, samples.size() - first);
    pass.add({samples.inputs.data() + first * samples.features, count, samples.features},
             {samples.targets.data() + first * width, needs_targets(estimator.kind) ? count : 0, width},
             std::span(indices).subspan(first, count),
             weights.empty() ? weights : weights.subspan(first, count),
             {run.traces.data() + first * layers, count, layers});
  }
  const AlignedBuffer<double> sum = pass.sums().take();
  run.sum.assign(sum.begin(), sum.end());
  return run;
}

double trace_error(const Vector& values, const Vector& expected) {
  const double sum = std::accumulate(expected.begin(), expected.end(), 0.0);
  return std::abs(std::accumulate(values.begin(), values.end(), 0.0) / sum - 1);
}

/// Samples of the made-up problem as images have them: multiples of 1/255, whose rounding errors do not
/// average out.
Samples pixel_samples(std::size_t count, std::size_t features, std::size_t classes) {
  const auto data = open_dataset("synthetic:" + std::to_string(count), std::nullopt, {features, classes});
  Samples samples;
  samples.features = features;
  samples.target_width = 1;
  samples.inputs.resize(count * features);
  samples.targets.resize(count);
  data->read_inputs(0, {samples.inputs.data(), count, features});
  data->read_targets(0, {samples.targets.data(), count, 1});
  for (float& x : samples.inputs) x = std::round(x * 255.0f) / 255.0f;
  return samples;
}

Network trained_network(const std::string& architecture, const Samples& samples) {
  Network network = Network::random(Architecture::parse(architecture), 3);
  const auto data = reference::to_dataset(samples);
  Optimizer optimizer(OptimizerOptions{}, network.parameters().size());
  TrainOptions options;
  options.epochs = 8;
  options.batch_size = 32;
  train(network, *data, optimizer, options, Context(1));
  return network;
}

}  // namespace

TEST_CASE("on trained weights bf16 is within 5e-3 normwise and 1e-3 of the trace", "[bf16]") {
  if (units().empty()) return;
  const Samples samples = pixel_samples(3000, 100, 10);
  for (const char* activation : {"relu", "tanh", "sigmoid"}) {
    const Network network = trained_network("mlp:100-64-48-10:" + std::string(activation), samples);
    const reference::Mlp mlp = reference::make_mlp(network);
    // Labels of mc are drawn from probabilities that rounding moves: single draws may differ altogether.
    for (const Estimator& estimator :
         {Estimator{EstimatorKind::Empirical}, {EstimatorKind::Exact}, {EstimatorKind::Sketch, 2, 5}}) {
      const Vector expected =
          reference::fisher_diagonal(mlp, samples, estimator, Likelihood::Categorical, Normalization::Sum);
      for (Bf16Unit unit : units()) {
        INFO(activation << " " << std::string(estimator_name(estimator.kind)) << " "
                        << std::string(bf16_unit_name(unit)));
        const Vector sum = run_pass(network, samples, estimator, Likelihood::Categorical, unit).sum;
        CHECK(reference::relative_error(sum, expected) <= rounding_error(Precision::Bf16));
        CHECK(trace_error(sum, expected) <= 1e-3);
      }
    }
  }
}

// a^2 and Q are rounded last, each by at most 2^-8 and by 2^-8 / sqrt(3) in the root mean square: 3.2e-3 for
// one sample. What was rounded before enters through sums, and samples average. Losing one of 69 seeds costs
// more.
TEST_CASE("every size, likelihood and number of seeds equals the reference", "[bf16]") {
  struct Case {
    const char* architecture;
    Likelihood likelihood;
    Estimator estimator;
  };
  const Estimator exact{EstimatorKind::Exact}, empirical{EstimatorKind::Empirical};
  const std::vector<Case> cases{{"mlp:1-2", Likelihood::Categorical, exact},
                                {"mlp:5-3", Likelihood::Categorical, empirical},
                                {"mlp:37-33-18-11:tanh", Likelihood::Categorical, exact},
                                {"mlp:33-2-31:sigmoid", Likelihood::Categorical, exact},
                                {"mlp:6-9-70:tanh", Likelihood::Categorical, exact},
                                {"mlp:20-65-32-4:relu", Likelihood::Gaussian, exact},
                                {"mlp:20-17-9:tanh", Likelihood::Bernoulli, exact},
                                {"mlp:20-17-3:tanh", Likelihood::Poisson, empirical},
                                {"mlp:6-9-4:tanh", Likelihood::Categorical, {EstimatorKind::Sketch, 100, 4}},
                                {"mlp:6-9-4:tanh", Likelihood::Categorical, {EstimatorKind::Predicted}}};
  for (const Case& c : cases) {
    const Network network = make_network(c.architecture, 11, 1);
    const reference::Mlp mlp = reference::make_mlp(network);
    for (std::size_t count : {1u, 33u, 600u}) {
      const Samples samples = make_samples(network, count, c.likelihood, 12);
      const Vector expected =
          reference::fisher_diagonal(mlp, samples, c.estimator, c.likelihood, Normalization::Sum);
      for (Bf16Unit unit : units()) {
        INFO(c.architecture << " " << std::string(estimator_name(c.estimator.kind)) << " samples " << count);
        CHECK(reference::relative_error(run_pass(network, samples, c.estimator, c.likelihood, unit).sum,
                                        expected) <= rounding_error(Precision::Bf16));
      }
    }
  }
}

TEST_CASE("bf16: 1, 2, 3 and 7 threads and any block give the same bits", "[bf16]") {
  const Network network = make_network("mlp:37-70-33-11:tanh", 1);
  const Samples samples = make_samples(network, 2500, Likelihood::Categorical, 2);
  for (Bf16Unit unit : units())
    for (const Estimator& estimator : {Estimator{EstimatorKind::Empirical}, {EstimatorKind::Exact}}) {
      const PassRun one = run_pass(network, samples, estimator, Likelihood::Categorical, unit);
      for (int threads : {2, 3, 7}) {
        const PassRun more = run_pass(network, samples, estimator, Likelihood::Categorical, unit, threads);
        CHECK(more.sum == one.sum);
        CHECK(more.traces == one.traces);
      }
      CHECK(run_pass(network, samples, estimator, Likelihood::Categorical, unit, 2, Bf16Pass::chain_rows())
                .sum == one.sum);
    }
}

TEST_CASE("bf16: a sample's traces are what it adds to each layer, and weights scale it", "[bf16]") {
  const Network network = make_network("mlp:37-70-33-11:tanh", 1);
  const Samples samples = make_samples(network, 70, Likelihood::Categorical, 2);
  std::vector<float> weights(70);
  for (std::size_t n = 0; n < 70; ++n) weights[n] = n % 3 == 0 ? 0.0f : 0.25f * static_cast<float>(n % 5 + 1);
  for (Bf16Unit unit : units()) {
    const Estimator exact{EstimatorKind::Exact};
    const PassRun run = run_pass(network, samples, exact, Likelihood::Categorical, unit, 2, 1024, weights);
    const Architecture& architecture = network.architecture();
    for (std::size_t l = 0; l < 3; ++l) {
      double traces = 0, sum = 0;
      for (std::size_t n = 0; n < 70; ++n) traces += run.traces[n * 3 + l];
      const LinearLayer& layer = architecture.layers()[l];
      for (std::size_t i = 0; i < (layer.inputs + 1) * layer.outputs; ++i)
        sum += run.sum[architecture.weight_offset(l) + i];
      // The same operands in another order: 70 samples times at most 71 terms of 2^-24 each.
      CHECK_THAT(traces, Catch::Matchers::WithinRel(sum, 1e-5));
      CHECK(run.traces[l] == 0);
    }
    Vector expected(run.sum.size(), 0.0);
    for (std::size_t n = 0; n < 70; ++n) {
      Samples one = samples;
      one.inputs.assign(samples.inputs.begin() + 37 * n, samples.inputs.begin() + 37 * (n + 1));
      one.targets = {samples.targets[n]};
      const PassRun alone = run_pass(network, one, exact, Likelihood::Categorical, unit, 1, 1024);
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += weights[n] * alone.sum[i];
    }
    // sqrt(w) enters a seed before it is rounded, so roundings differ: 2^-8 in a^2, Q, d, averaged over 46.
    CHECK(reference::relative_error(run.sum, expected) <= 5e-3);
  }
}

TEST_CASE("bf16 is refused where the machine or the estimator has none", "[bf16]") {
  const Network network = make_network("mlp:6-5-4:tanh", 61);
  const auto data = reference::to_dataset(make_samples(network, 33, Likelihood::Categorical, 62));
  FisherOptions options;
  options.precision = Precision::Bf16;
  CHECK_THROWS_AS(compute_fisher(network, *data, options, Context(1, Isa::Baseline)), UnsupportedError);
  if (units().empty()) return;
  options.estimator.kind = EstimatorKind::Batched;
  CHECK_THROWS_AS(compute_fisher(network, *data, options, Context(1)), ArgumentError);
}

TEST_CASE("a diagonal says its precision, also after merging", "[bf16]") {
  FisherMetadata metadata;
  metadata.precision = Precision::Bf16;
  metadata.precision_unit = "amx_bf16";
  const auto strings = metadata.to_strings();
  CHECK(strings.at("precision") == "bf16");
  CHECK(strings.at("rounding_error") == "5e-3");
  CHECK(FisherMetadata::from_strings(strings).precision == Precision::Bf16);
  CHECK(FisherMetadata::from_strings(strings).precision_unit == "amx_bf16");
  CHECK(FisherMetadata::from_strings({}).precision == Precision::Float32);

  const Network network = make_network("mlp:2-2", 1);
  const auto diagonal = [&](Precision precision) {
    FisherMetadata own;
    own.samples = 1;
    own.precision = precision;
    return FisherDiagonal(network.architecture().parameters(), AlignedBuffer<float>(6), own);
  };
  FisherMerger merger({});
  merger.add(diagonal(Precision::Float32));
  merger.add(diagonal(Precision::Bf16));
  merger.add(diagonal(Precision::Float32));
  CHECK(merger.finish().metadata().precision == Precision::Bf16);
}

TEST_CASE("bf16: compute_fisher uses the fastest unit, says so, and keeps a memory bound", "[bf16]") {
  if (units().empty()) return;
  const Network network = make_network("mlp:37-33-18-11:relu", 1);
  const Samples samples = make_samples(network, 5000, Likelihood::Categorical, 2);
  const auto data = reference::to_dataset(samples);
  FisherOptions options;
  options.precision = Precision::Bf16;
  options.normalization = Normalization::Sum;
  FisherStatistics free, bounded;
  const Context context(2);
  const FisherDiagonal fisher = compute_fisher(network, *data, options, context, &free);
  CHECK(fisher.metadata().precision == Precision::Bf16);
  CHECK(fisher.metadata().precision_unit == bf16_unit_name(units().back()));
  const Vector sum = run_pass(network, samples, {}, Likelihood::Categorical, units().back()).sum;
  for (std::size_t i = 0; i < sum.size(); ++i) REQUIRE(fisher.values()[i] == static_cast<float>(sum[i]));
  options.max_memory_bytes = free.workspace_bytes * 9 / 10;
  CHECK(compute_fisher(network, *data, options, context, &bounded).sha256() == fisher.sha256());
  CHECK(bounded.workspace_bytes <= options.max_memory_bytes);
}
