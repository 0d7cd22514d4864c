// fisher/<preset>/<estimator>/threads:<t>: networks whose weights are used at many positions.
#include <cmath>

#include "fisherdiag/fisher/compute.hpp"
#include "support/counters.hpp"
#include "support/inputs.hpp"
#include "support/register.hpp"

namespace fisherdiag::bench {

namespace {

constexpr std::size_t kVerifySamples = 6;

/// The empirical diagonal of a few samples against their gradients one by one, squared: batches of one go
/// another way through the pass, in which a sample's gradient exists as a whole.
bool verified(const Model& model, const Context& context) {
  Dataset& data = shared_data(model, kVerifySamples);
  FisherOptions options;
  options.normalization = Normalization::Sum;
  const FisherDiagonal fisher = compute_fisher(shared_network(model), data, options, context);
  options.estimator.kind = EstimatorKind::Batched;
  options.estimator.batch_size = 1;
  const FisherDiagonal single = compute_fisher(shared_network(model), data, options, context);
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < fisher.values().size(); ++i) {
    const double a = fisher.values()[i], b = single.values()[i];
    difference += (a - b) * (a - b);
    norm += b * b;
  }
  return difference <= 1e-10 * norm;
}

void run_preset(benchmark::State& state, const Model& model, EstimatorKind kind, int threads, Isa isa) {
  const Context& context = shared_context(threads, isa);
  if (!verified(model, context))
    return state.SkipWithError("the result differs from squares of single gradients");
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

}  // namespace

void register_preset_benchmarks(const Settings& settings) {
  for (int threads : settings.threads)
    for (const Model& model : preset_models())
      for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::MonteCarlo,
                                 EstimatorKind::Sketch, EstimatorKind::Batched}) {
        const std::string name = "fisher/" + model.name + "/" + std::string(estimator_name(kind)) +
                                 "/threads:" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), [=, isa = settings.isa](benchmark::State& state) {
          run_preset(state, model, kind, threads, isa);
        })->Unit(benchmark::kMillisecond);
      }
}

}  // namespace fisherdiag::bench
