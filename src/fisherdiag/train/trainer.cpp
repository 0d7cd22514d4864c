#include "fisherdiag/train/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/non_finite_error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"
#include "fisherdiag/train/batch_gradient.hpp"
#include "fisherdiag/train/dataset_fit.hpp"

namespace fisherdiag {

namespace {

using Clock = std::chrono::steady_clock;

// Rows copied by one task.
constexpr std::size_t kGatherRows = 32;

/// Every sample in memory and room for one batch of them. Dataset serves one reader at a time; this serves
/// all threads.
class BatchSource {
 public:
  BatchSource(Dataset& dataset, std::size_t max_batch)
      : features_(dataset.features()),
        width_(dataset.target_width()),
        order_(dataset.size()),
        inputs_(dataset.size() * features_),
        targets_(dataset.size() * width_),
        batch_inputs_(max_batch * features_),
        batch_targets_(max_batch * width_) {
    dataset.read_inputs(0, {inputs_.data(), dataset.size(), features_});
    dataset.read_targets(0, {targets_.data(), dataset.size(), width_});
  }

  bool all_ignored() const {
    return std::ranges::all_of(targets_, [](float label) { return label == kIgnoredLabel; });
  }

  std::size_t size() const { return order_.size(); }

  /// A new random order of samples: Fisher-Yates.
  void shuffle(std::uint64_t seed, std::uint64_t epoch) {
    std::iota(order_.begin(), order_.end(), std::uint64_t{0});
    RandomStream random(seed, random_stream::kShuffle, epoch);
    for (std::size_t i = order_.size(); i > 1; --i)
      std::swap(order_[i - 1], order_[static_cast<std::size_t>(random.next_below(i))]);
  }

  /// Copies samples [first, first + rows) of the present order into the batch.
  void gather(std::size_t first, std::size_t rows, const Context& context) {
    context.parallel_for((rows + kGatherRows - 1) / kGatherRows, [&](std::size_t task, std::size_t) {
      const std::size_t end = std::min(rows, (task + 1) * kGatherRows);
      for (std::size_t r = task * kGatherRows; r < end; ++r) {
        const std::size_t sample = order_[first + r];
        std::copy_n(inputs_.data() + sample * features_, features_, batch_inputs_.data() + r * features_);
        std::copy_n(targets_.data() + sample * width_, width_, batch_targets_.data() + r * width_);
      }
    });
  }

  /// Which samples the batch has.
  std::span<const std::uint64_t> names(std::size_t first, std::size_t rows) const {
    return std::span(order_).subspan(first, rows);
  }
  MatrixView<const float> inputs(std::size_t rows) const { return {batch_inputs_.data(), rows, features_}; }
  MatrixView<const float> targets(std::size_t rows) const { return {batch_targets_.data(), rows, width_}; }

 private:
  std::size_t features_;
  std::size_t width_;
  std::vector<std::uint64_t> order_;
  AlignedBuffer<float> inputs_;
  AlignedBuffer<float> targets_;
  AlignedBuffer<float> batch_inputs_;
  AlignedBuffer<float> batch_targets_;
};

void check(const Network& network, const Dataset& dataset, const Optimizer& optimizer,
           const TrainOptions& options) {
  if (options.batch_size == 0) throw ArgumentError("batch_size must be at least 1");
  if (options.epochs == 0 && options.iterations == 0)
    throw ArgumentError("training needs at least one epoch or one iteration");
  if (optimizer.parameters() != network.parameters().size())
    throw ArgumentError("the optimiser is for " + std::to_string(optimizer.parameters()) +
                        " parameters and the network has " + std::to_string(network.parameters().size()));
  if (options.penalty && options.penalty->terms() > 0 &&
      options.penalty->anchor(0).size() != network.parameters().size())
    throw ArgumentError("the penalty is for " + std::to_string(options.penalty->anchor(0).size()) +
                        " parameters and the network has " + std::to_string(network.parameters().size()));
  require_fit(dataset, network.architecture(), options.likelihood);
}

[[noreturn]] void throw_diverged(const Optimizer& optimizer, const EwcPenalty* penalty,
                                 const std::string& what) {
  std::ostringstream sentence;
  sentence << "training diverged with learning rate " << optimizer.options().learning_rate << ": " << what
           << "; a smaller rate" << (penalty && penalty->tasks() > 0 ? " or a smaller lambda" : "")
           << " may help";
  throw DataError(sentence.str());
}

void require_finite(std::span<const float> parameters, const Optimizer& optimizer,
                    const EwcPenalty* penalty) {
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!std::isfinite(parameters[i]))
      throw_diverged(optimizer, penalty, "parameter " + std::to_string(i) + " is not finite at the end");
}

}  // namespace

TrainResult train(Network& network, Dataset& dataset, Optimizer& optimizer, const TrainOptions& options,
                  const Context& context) {
  check(network, dataset, optimizer, options);
  const std::size_t batch_size = std::min(options.batch_size, dataset.size());
  BatchSource source(dataset, batch_size);
  if (options.likelihood == Likelihood::Categorical && network.architecture().positions() > 1 &&
      source.all_ignored())
    throw DataError(dataset.name() + ": all labels are -100, so that none counts");
  BatchGradient batch_gradient(network.architecture(), options.likelihood, batch_size, context,
                               options.heads);
  const auto begin_step = [&] { return optimizer.begin(network.parameters(), options.penalty, context); };

  const std::size_t per_epoch = (source.size() + batch_size - 1) / batch_size;
  const std::size_t iterations = options.iterations ? options.iterations : options.epochs * per_epoch;
  const auto step = [&](std::size_t iteration, std::size_t rows, double& step_seconds) {
    try {
      return batch_gradient.step(network, source.inputs(rows), source.targets(rows), begin_step,
                                 step_seconds);
    } catch (const NonFiniteError&) {
      if (iteration == 0) throw;
      throw_diverged(optimizer, options.penalty,
                     "at step " + std::to_string(iteration + 1) + " of " + std::to_string(iterations) +
                         " the network's outputs or their loss are not finite");
    }
  };
  TrainResult result;
  double epoch_nll = 0;
  std::size_t epoch_samples = 0;
  const auto start = Clock::now();
  for (std::size_t iteration = 0; iteration < iterations; ++iteration) {
    const std::size_t batch = iteration % per_epoch;
    if (batch == 0) {
      source.shuffle(options.seed, iteration / per_epoch);
      epoch_nll = 0;
      epoch_samples = 0;
    }
    const std::size_t rows = std::min(batch_size, source.size() - batch * batch_size);
    source.gather(batch * batch_size, rows, context);
    if (options.schedule == RateSchedule::Linear)
      optimizer.set_rate_scale(1 - static_cast<double>(iteration) / static_cast<double>(iterations));
    batch_gradient.name_rows(source.names(batch * batch_size, rows));
    const double loss = step(iteration, rows, result.step_seconds);
    epoch_nll += loss * static_cast<double>(rows);
    epoch_samples += rows;
    result.samples += rows;
    if (options.progress && !options.progress({iteration + 1, iterations, loss}))
      throw InterruptedError("training was stopped after " + std::to_string(iteration + 1) + " of " +
                             std::to_string(iterations) + " iterations");
  }
  optimizer.set_rate_scale(1);
  require_finite(network.parameters(), optimizer, options.penalty);
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  result.iterations = iterations;
  result.loss = epoch_nll / static_cast<double>(epoch_samples);
  return result;
}

}  // namespace fisherdiag
