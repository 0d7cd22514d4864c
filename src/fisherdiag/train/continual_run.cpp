#include "fisherdiag/train/continual_run.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/train/metrics.hpp"
#include "fisherdiag/train/optimizer.hpp"
#include "fisherdiag/train/trainer.hpp"

namespace fisherdiag {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double mean(const std::vector<double>& values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Seeds of one task: of the order of its samples, and of what is random in its Fisher diagonal.
struct TaskSeeds {
  TaskSeeds(std::uint64_t seed, std::size_t task) {
    RandomStream random(seed, random_stream::kTaskSeed, task);
    order = random.next_u32();
    fisher = random.next_u32();
  }
  std::uint64_t order, fisher;
};

class Run {
 public:
  Run(const TaskStream& stream, const Architecture& architecture, const ContinualSettings& settings,
      const ContinualRequest& request, const Context& context, const std::function<bool()>& progress)
      : settings_(settings),
        request_(request),
        context_(context),
        progress_(progress),
        sequence_(stream.sequence(request.seed)),
        network_(Network::random(architecture, request.seed)),
        optimizer_(new_optimizer()) {
    if (request.method.uses_fisher())
      require_feasible(request.method.fisher, "method", request.method.name());
    if (request.translation)
      require_feasible(request.translation->reference, "lambda", request.translation->name());
    if (request.method.has_penalty() && !request.translation) start_penalty(request.lambda);
  }

  ContinualResult run() {
    for (std::size_t t = 0; t < sequence_.tasks.size(); ++t) {
      learn(t);
      measure();
      if (request_.method.has_penalty() && t + 1 < sequence_.tasks.size()) consolidate(t);
    }
    for (const Task& task : sequence_.tasks)
      if (task.validation) result_.validation.push_back(accuracy(*task.validation));
    result_.weights_sha256 = network_.sha256();
    return std::move(result_);
  }

 private:
  /// Before a task is learned, so that a Fisher diagonal that will not be computed costs nothing.
  void require_feasible(const FisherChoice& choice, const std::string& what, const std::string& name) const {
    if (!sequence_.tasks.front().outputs.empty()) return;  // a head of few outputs
    FisherOptions options;
    options.estimator.kind = choice.kind;
    const std::string reason = infeasible(network_.architecture(), options);
    if (!reason.empty()) throw ArgumentError(what + " " + name + ": " + reason);
  }

  Optimizer new_optimizer() const {
    OptimizerOptions options;
    options.learning_rate = settings_.learning_rate;
    return {options, network_.parameters().size()};
  }

  void start_penalty(double lambda) {
    penalty_.emplace(request_.method.form(), lambda, settings_.decay_factor);
    result_.lambda = lambda;
  }

  void learn(std::size_t t) {
    if (settings_.reset_optimizer && t > 0) optimizer_ = new_optimizer();
    TrainOptions options;
    options.iterations = settings_.iterations;
    options.batch_size = settings_.batch_size;
    options.seed = TaskSeeds(request_.seed, t).order;
    options.heads = sequence_.heads;
    options.penalty = penalty_ ? &*penalty_ : nullptr;
    if (progress_) options.progress = [this](const TrainProgress&) { return progress_(); };
    const std::unique_ptr<Dataset> all = request_.method.kind == ContinualKind::Joint ? so_far(t) : nullptr;
    const TrainResult trained =
        train(network_, all ? *all : *sequence_.tasks[t].train, optimizer_, options, context_);
    // The first task has no penalty: what its steps take is what a step takes without one.
    if (t == 0) plain_steps_ = trained.step_seconds;
    const double extra =
        penalty_ && penalty_->terms() > 0 ? std::max(0.0, trained.step_seconds - plain_steps_) : 0;
    result_.seconds_penalty += extra;
    result_.seconds_training += trained.seconds - extra;
  }

  std::unique_ptr<Dataset> so_far(std::size_t t) const {
    std::vector<Dataset*> parts;
    for (std::size_t k = 0; k <= t; ++k) parts.push_back(sequence_.tasks[k].train.get());
    return concatenate(std::move(parts));
  }

  double accuracy(Dataset& dataset) const {
    return evaluate(network_, dataset, Likelihood::Categorical, context_, sequence_.heads).accuracy.value();
  }

  void measure() {
    std::vector<double> row;
    for (const Task& task : sequence_.tasks) row.push_back(accuracy(*task.test));
    result_.accuracy.push_back(std::move(row));
  }

  void consolidate(std::size_t t) {
    const AlignedBuffer<float> fisher =
        request_.method.uses_fisher() ? diagonal(request_.method.fisher, t) : ones();
    const double trace = std::accumulate(fisher.begin(), fisher.end(), 0.0);
    if (request_.method.uses_fisher()) result_.traces.push_back(trace);
    if (!penalty_) start_penalty(translate(*request_.translation, t, trace));
    const Clock::time_point start = Clock::now();
    penalty_->add_task(network_.parameters(), std::span(fisher.data(), fisher.size()));
    result_.seconds_penalty += seconds_since(start);
  }

  double translate(const LambdaTranslation& translation, std::size_t t, double trace) {
    const AlignedBuffer<float> reference = diagonal(translation.reference, t);
    const double reference_trace = std::accumulate(reference.begin(), reference.end(), 0.0);
    if (!(trace > 0 && reference_trace > 0))
      throw DataError("lambda " + translation.name() + " cannot be translated for " + request_.method.name() +
                      ": a Fisher diagonal of the first task is zero");
    return translation.lambda * reference_trace / trace;
  }

  AlignedBuffer<float> ones() const {
    AlignedBuffer<float> fisher(network_.parameters().size());
    std::fill(fisher.begin(), fisher.end(), 1.0f);
    return fisher;
  }

  /// Over the training samples of task t, at the present parameters.
  AlignedBuffer<float> diagonal(const FisherChoice& choice, std::size_t t) {
    const Task& task = sequence_.tasks[t];
    FisherOptions options;
    options.estimator = {choice.kind, choice.draws, TaskSeeds(request_.seed, t).fisher, choice.batch_size};
    if (choice.subset) options.max_samples = std::min(*choice.subset, task.fisher->size());
    const Network* network = &network_;
    std::optional<Network> head;
    if (!task.outputs.empty()) network = &head.emplace(restrict_outputs(network_, task.outputs));
    const Clock::time_point start = Clock::now();
    const FisherDiagonal fisher = compute_fisher(*network, *task.fisher, options, context_);
    result_.seconds_fisher += seconds_since(start);
    AlignedBuffer<float> values(network_.parameters().size());
    const std::span<float> all(values.data(), values.size());
    if (head)
      spread_outputs(network_.architecture(), task.outputs, fisher.values(), all);
    else
      std::ranges::copy(fisher.values(), all.begin());
    return values;
  }

  const ContinualSettings& settings_;
  const ContinualRequest& request_;
  const Context& context_;
  const std::function<bool()>& progress_;
  TaskSequence sequence_;
  Network network_;
  Optimizer optimizer_;
  std::optional<EwcPenalty> penalty_;
  double plain_steps_ = 0;
  ContinualResult result_;
};

}  // namespace

double ContinualResult::average_accuracy() const {
  return accuracy.empty() ? 0 : mean(accuracy.back());
}

double ContinualResult::average_validation() const {
  return mean(validation);
}

double ContinualResult::forgetting() const {
  const std::size_t tasks = accuracy.size();
  std::vector<double> lost;
  for (std::size_t k = 0; k + 1 < tasks; ++k) {
    double best = 0;
    for (std::size_t t = k; t + 1 < tasks; ++t) best = std::max(best, accuracy[t][k]);
    lost.push_back(best - accuracy.back()[k]);
  }
  return mean(lost);
}

ContinualResult run_continual(const TaskStream& stream, const Architecture& architecture,
                              const ContinualSettings& settings, const ContinualRequest& request,
                              const Context& context, const std::function<bool()>& progress) {
  return Run(stream, architecture, settings, request, context, progress).run();
}

}  // namespace fisherdiag
