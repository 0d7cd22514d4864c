// fisher/<model>/<estimator>[-bf16]/threads:<t>
#include <cmath>
#include <memory>

#include "fisher/baselines.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "support/counters.hpp"
#include "support/inputs.hpp"
#include "support/register.hpp"

namespace fisherdiag::bench {

namespace {

constexpr std::size_t kVerifySamples = 24;
/// Samples of a baseline pass: they are slow, and their cost per sample does not depend on how many there
/// are.
constexpr std::size_t kBaselineFlops = 4'000'000'000;
constexpr std::size_t kMaterializedBytes = std::size_t{512} << 20;

struct Rows {
  std::vector<float> inputs, labels;
  MatrixView<const float> input_view, label_view;
};

Rows read_rows(Dataset& data, std::size_t count) {
  Rows rows;
  rows.inputs.resize(count * data.features());
  rows.labels.resize(count);
  data.read_inputs(0, {rows.inputs.data(), count, data.features()});
  data.read_targets(0, {rows.labels.data(), count, 1});
  rows.input_view = {rows.inputs.data(), count, data.features()};
  rows.label_view = {rows.labels.data(), count, 1};
  return rows;
}

std::size_t baseline_samples(const Network& network) {
  const std::size_t wanted = kBaselineFlops / (6 * network.parameters().size());
  return std::clamp<std::size_t>(wanted, 16, 4096);
}

std::size_t materialized_batch(const Network& network) {
  return std::clamp<std::size_t>(kMaterializedBytes / (network.parameters().size() * sizeof(float)), 2, 128);
}

/// |a - b| / |b| over all parameters.
double relative_error(std::span<const float> a, std::span<const double> b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

/// The engine's empirical diagonal of a few samples against the batch-of-one loop.
bool verified(const Model& model, Precision precision, const Context& context) {
  const Network& network = shared_network(model);
  Dataset& data = shared_data(model, model.samples);
  const Rows rows = read_rows(data, kVerifySamples);
  std::vector<std::int32_t> labels(rows.labels.begin(), rows.labels.end());
  const auto few = make_dataset(rows.inputs, data.features(), labels);
  FisherOptions options;
  options.normalization = Normalization::Sum;
  options.precision = precision;
  const FisherDiagonal fisher = compute_fisher(network, *few, options, context);
  std::vector<double> sum(network.parameters().size());
  loop_fisher(network, rows.input_view, rows.label_view, context, sum);
  // Few samples average little of what rounding to bfloat16 does.
  return relative_error(fisher.values(), sum) < (precision == Precision::Bf16 ? 2e-2 : 1e-5);
}

void run_engine(benchmark::State& state, const Model& model, const Estimator& estimator, int threads, Isa isa,
                Precision precision = Precision::Float32) {
  const Context& context = shared_context(threads, isa);
  const Network& network = shared_network(model);
  if (!verified(model, precision, context))
    return state.SkipWithError("the result differs from the batch-of-one loop");
  Dataset& data = shared_data(model, model.samples);
  FisherOptions options;
  options.estimator = estimator;
  options.precision = precision;
  const double flops = fisher_flops_per_sample(network.architecture(), estimator, Likelihood::Categorical);
  const auto samples = static_cast<double>(model.samples);
  run_timed(state, context, {samples, samples * flops, 0}, [&] {
    FisherStatistics statistics;
    benchmark::DoNotOptimize(compute_fisher(network, data, options, context, &statistics).values().data());
    return statistics.seconds;
  });
}

void run_loop(benchmark::State& state, const Model& model, int threads, Isa isa) {
  const Context& context = shared_context(threads, isa);
  const Network& network = shared_network(model);
  const Rows rows =
      read_rows(shared_data(model, model.samples), std::min(model.samples, baseline_samples(network)));
  const double flops = fisher_flops_per_sample(network.architecture(), {}, Likelihood::Categorical);
  const auto samples = static_cast<double>(rows.input_view.rows);
  std::vector<double> sum(network.parameters().size());
  run_timed(state, context, {samples, samples * flops, 0}, [&] {
    loop_fisher(network, rows.input_view, rows.label_view, context, sum);
    return -1.0;
  });
}

void run_materialized(benchmark::State& state, const Model& model, int threads, Isa isa) {
  const Context& context = shared_context(threads, isa);
  const Network& network = shared_network(model);
  const std::size_t batch = materialized_batch(network);
  const std::size_t wanted = std::max(batch, baseline_samples(network) / batch * batch);
  const Rows rows = read_rows(shared_data(model, model.samples), std::min(model.samples, wanted));
  const double flops = fisher_flops_per_sample(network.architecture(), {}, Likelihood::Categorical);
  const auto samples = static_cast<double>(rows.input_view.rows);
  std::vector<double> sum(network.parameters().size());
  AlignedBuffer<float> gradients(batch * sum.size());
  run_timed(state, context, {samples, samples * flops, 0}, [&] {
    materialized_fisher(network, rows.input_view, rows.label_view, context, gradients, sum);
    return -1.0;
  });
}

void add(const std::string& name, const std::function<void(benchmark::State&)>& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMillisecond);
}

}  // namespace

void register_fisher_benchmarks(const Settings& settings) {
  const Isa isa = settings.isa;
  const std::vector<EstimatorKind> kinds{EstimatorKind::Empirical,  EstimatorKind::Exact,
                                         EstimatorKind::MonteCarlo, EstimatorKind::Sketch,
                                         EstimatorKind::Predicted,  EstimatorKind::Batched};
  for (int threads : settings.threads) {
    const std::string suffix = "/threads:" + std::to_string(threads);
    for (const Model& model : models()) {
      for (EstimatorKind kind : kinds)
        add("fisher/" + model.name + "/" + std::string(estimator_name(kind)) + suffix,
            [=](benchmark::State& state) { run_engine(state, model, Estimator{kind}, threads, isa); });
      if (!precision_unit(Precision::Bf16, isa).empty())
        for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact})
          add("fisher/" + model.name + "/" + std::string(estimator_name(kind)) + "-bf16" + suffix,
              [=](auto& state) { run_engine(state, model, Estimator{kind}, threads, isa, Precision::Bf16); });
      add("fisher/" + model.name + "/loop" + suffix,
          [=](benchmark::State& state) { run_loop(state, model, threads, isa); });
      add("fisher/" + model.name + "/materialized" + suffix,
          [=](benchmark::State& state) { run_materialized(state, model, threads, isa); });
    }
    for (const Model& model : class_models()) {
      if (model.name == "mlp-784-256-256-10") continue;  // already among the sizes
      for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact})
        add("fisher/" + model.name + "/" + std::string(estimator_name(kind)) + suffix,
            [=](benchmark::State& state) { run_engine(state, model, Estimator{kind}, threads, isa); });
    }
  }
}

}  // namespace fisherdiag::bench
