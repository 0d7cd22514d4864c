// step/<model>/<none|l2|ewc-merged|ewc-separate-3|ewc-online>/threads:<t>: one training step of SGD, batch
// 128, with each penalty. `none` is the step everything else is compared with.
#include <memory>

#include "fisherdiag/ewc/penalty.hpp"
#include "fisherdiag/train/batch_gradient.hpp"
#include "fisherdiag/train/optimizer.hpp"
#include "support/counters.hpp"
#include "support/inputs.hpp"
#include "support/register.hpp"

namespace fisherdiag::bench {

namespace {

constexpr std::size_t kBatch = 128;
constexpr double kLambda = 1e-3;  // small: the step is timed, and the weights must stay finite

enum class Penalty { None, L2, Merged, Separate3, Online };

struct Batch {
  std::vector<float> inputs, labels;
};

Batch read_batch(const Model& model) {
  Dataset& data = shared_data(model, 1024);
  Batch batch{std::vector<float>(kBatch * data.features()), std::vector<float>(kBatch)};
  data.read_inputs(0, {batch.inputs.data(), kBatch, data.features()});
  data.read_targets(0, {batch.labels.data(), kBatch, 1});
  return batch;
}

std::unique_ptr<EwcPenalty> make_penalty(Penalty kind, std::span<const float> theta) {
  if (kind == Penalty::None || kind == Penalty::L2) return nullptr;
  const PenaltyForm form = kind == Penalty::Merged   ? PenaltyForm::Merged
                           : kind == Penalty::Online ? PenaltyForm::Online
                                                     : PenaltyForm::Separate;
  auto penalty = std::make_unique<EwcPenalty>(form, kLambda, kind == Penalty::Online ? 0.95 : 1.0);
  for (std::uint64_t task = 0; task < 3; ++task) {
    std::vector<float> anchor(theta.begin(), theta.end());
    const std::vector<float> fisher = random_values(theta.size(), 10 + task);
    for (std::size_t i = 0; i < anchor.size(); ++i) anchor[i] += 0.01f * fisher[i];
    penalty->add_task(anchor, fisher);
  }
  return penalty;
}

/// Memory the penalty adds to a step: each term reads its anchor and F; separate terms after the first also
/// read and write the gradient and read theta again.
double penalty_bytes(Penalty kind, std::size_t parameters) {
  const auto p = static_cast<double>(parameters);
  switch (kind) {
    case Penalty::None:
      return 0;
    case Penalty::L2:
      return 4 * p;
    case Penalty::Merged:
    case Penalty::Online:
      return 8 * p;
    case Penalty::Separate3:
      return 8 * p + 2 * 20 * p;
  }
  return 0;
}

void step(benchmark::State& state, const Model& model, Penalty kind, int threads, Isa isa) {
  const Context& context = shared_context(threads, isa);
  const Batch batch = read_batch(model);
  Network network = Network::random(Architecture::parse(model.architecture), 1);
  const std::vector<float> anchor(network.parameters().begin(), network.parameters().end());
  const std::unique_ptr<EwcPenalty> penalty = make_penalty(kind, network.parameters());
  OptimizerOptions options;
  options.kind = OptimizerKind::Sgd;
  options.learning_rate = 1e-4;
  Optimizer optimizer(options, network.parameters().size());
  BatchGradient gradient_of(network.architecture(), Likelihood::Categorical, kBatch, context);
  const kernels::StepPenalty l2{anchor.data(), nullptr, static_cast<float>(kLambda)};
  const auto begin = [&] {
    return kind == Penalty::L2 ? optimizer.begin(network.parameters(), l2, context)
                               : optimizer.begin(network.parameters(), penalty.get(), context);
  };
  double step_seconds = 0;
  const MatrixView<const float> inputs{batch.inputs.data(), kBatch, network.architecture().inputs()};
  run_timed(state, context, {static_cast<double>(kBatch), 0, 0}, [&] {
    gradient_of.step(network, inputs, {batch.labels.data(), kBatch, 1}, begin, step_seconds);
    return -1.0;
  });
  state.counters["penalty_bytes_per_step"] = penalty_bytes(kind, network.parameters().size());
  state.counters["parameters"] = static_cast<double>(network.parameters().size());
}

}  // namespace

void register_step_benchmarks(const Settings& settings) {
  const std::vector<std::pair<std::string, Penalty>> kinds{{"none", Penalty::None},
                                                           {"l2", Penalty::L2},
                                                           {"ewc-merged", Penalty::Merged},
                                                           {"ewc-separate-3", Penalty::Separate3},
                                                           {"ewc-online", Penalty::Online}};
  const Isa isa = settings.isa;
  for (int threads : settings.threads)
    for (const Model& model : models())
      for (const auto& [name, kind] : kinds)
        benchmark::RegisterBenchmark(
            ("step/" + model.name + "/" + name + "/threads:" + std::to_string(threads)).c_str(),
            [=, kind = kind](benchmark::State& state) { step(state, model, kind, threads, isa); })
            ->Unit(benchmark::kMillisecond);
}

}  // namespace fisherdiag::bench
