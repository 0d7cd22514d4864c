// fisher/<preset>/<estimator|materialized|loop>/threads:<t>: networks whose weights are used at many
// positions.
#include <algorithm>
#include <vector>

#include "fisher/graph_baseline.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "support/counters.hpp"
#include "support/inputs.hpp"
#include "support/register.hpp"

namespace fisherdiag::bench {

namespace {

constexpr std::size_t kVerifySamples = 6;
constexpr std::size_t kMaterializedBytes = std::size_t{256} << 20;

/// The first `count` samples, with their gradients stored in batches of `batch`.
struct Baseline {
  Baseline(const Model& model, std::size_t count, std::size_t batch)
      : network(shared_network(model)),
        inputs(count * network.architecture().inputs()),
        labels(count),
        gradients(std::min(batch, count) * network.parameters().size()),
        sum(network.parameters().size()),
        input_view{inputs.data(), count, network.architecture().inputs()} {
    Dataset& data = shared_data(model, model.samples);
    data.read_inputs(0, {inputs.data(), count, input_view.cols});
    data.read_targets(0, {labels.data(), count, 1});
  }
  void run(const Context& context) {
    materialized_graph_fisher(network, input_view, {labels.data(), labels.size(), 1}, context,
                              {gradients.data(), gradients.size()}, sum);
  }

  const Network& network;
  std::vector<float> inputs, labels;
  AlignedBuffer<float> gradients;
  std::vector<double> sum;
  MatrixView<const float> input_view;
};

/// The engine's empirical diagonal of a few samples against their stored gradients, squared.
bool verified(const Model& model, const Context& context) {
  Baseline baseline(model, kVerifySamples, kVerifySamples);
  baseline.run(context);
  std::vector<std::int32_t> labels(baseline.labels.begin(), baseline.labels.end());
  const auto data = make_dataset(baseline.inputs, baseline.input_view.cols, labels);
  FisherOptions options;
  options.normalization = Normalization::Sum;
  const FisherDiagonal fisher = compute_fisher(baseline.network, *data, options, context);
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < fisher.values().size(); ++i) {
    const double a = fisher.values()[i], b = baseline.sum[i];
    difference += (a - b) * (a - b);
    norm += b * b;
  }
  return difference <= 1e-10 * norm;
}

void run_preset(benchmark::State& state, const Model& model, EstimatorKind kind, int threads, Isa isa) {
  const Context& context = shared_context(threads, isa);
  if (!verified(model, context))
    return state.SkipWithError("the result differs from squares of stored gradients");
  const Network& network = shared_network(model);
  Dataset& data = shared_data(model, model.samples);
  FisherOptions options;
  options.estimator.kind = kind;
  const double flops =
      fisher_flops_per_sample(network.architecture(), options.estimator, Likelihood::Categorical);
  const auto samples = static_cast<double>(model.samples);
  run_timed(state, context, {samples, samples * flops, 0}, [&] {
    FisherStatistics statistics;
    benchmark::DoNotOptimize(compute_fisher(network, data, options, context, &statistics).values().data());
    return statistics.seconds;
  });
}

/// A batch as large as memory for its gradients allows, or of one sample.
void run_baseline(benchmark::State& state, const Model& model, bool loop, int threads, Isa isa) {
  const Context& context = shared_context(threads, isa);
  const Network& network = shared_network(model);
  const std::size_t fitting = kMaterializedBytes / (network.parameters().size() * sizeof(float));
  const std::size_t batch = loop ? 1 : std::clamp<std::size_t>(fitting, 4, 64);
  // They are slow, and what a sample costs does not depend on how many there are.
  const std::size_t count = std::min(model.samples, loop ? model.samples / 16 : batch);
  Baseline baseline(model, count, batch);
  const double flops = fisher_flops_per_sample(network.architecture(), {}, Likelihood::Categorical);
  const auto samples = static_cast<double>(count);
  run_timed(state, context, {samples, samples * flops, 0}, [&] {
    baseline.run(context);
    return -1.0;
  });
}

void add(const Model& model, std::string_view variant, int threads,
         const std::function<void(benchmark::State&)>& body) {
  const std::string name =
      "fisher/" + model.name + "/" + std::string(variant) + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMillisecond);
}

}  // namespace

void register_preset_benchmarks(const Settings& settings) {
  const Isa isa = settings.isa;
  for (int threads : settings.threads)
    for (const Model& model : preset_models()) {
      for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::MonteCarlo,
                                 EstimatorKind::Sketch, EstimatorKind::Batched})
        add(model, estimator_name(kind), threads,
            [=](benchmark::State& state) { run_preset(state, model, kind, threads, isa); });
      for (const bool loop : {false, true})
        add(model, loop ? "loop" : "materialized", threads,
            [=](benchmark::State& state) { run_baseline(state, model, loop, threads, isa); });
    }
}

}  // namespace fisherdiag::bench
