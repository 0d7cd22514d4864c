#include "fisherdiag/train/task_stream.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <string_view>
#include <tuple>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/train/dataset_fit.hpp"
#include "fisherdiag/train/sample_view.hpp"

namespace fisherdiag {

namespace {

/// Where a data set has no test samples, one in this many of it is kept for that.
constexpr std::size_t kTestShare = 6;
constexpr std::size_t kMostTasks = 1000;
constexpr std::size_t kSplitTasks = 5;

constexpr const char* kStreams =
    "split-fashion-mnist, permuted-fashion-mnist:K, split-mnist, permuted-mnist:K, A-then-B";

std::vector<std::uint32_t> shuffled(std::size_t count, std::uint64_t seed, std::uint32_t purpose,
                                    std::uint64_t index) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), std::uint32_t{0});
  RandomStream random(seed, purpose, index);
  for (std::size_t i = count; i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(random.next_below(i))]);
  return order;
}

std::size_t task_count(const std::string& text, std::string_view count) {
  std::size_t tasks = 0;
  const auto [stop, error] = std::from_chars(count.data(), count.data() + count.size(), tasks);
  if (error != std::errc() || stop != count.data() + count.size() || tasks < 1 || tasks > kMostTasks)
    throw ArgumentError("tasks '" + text + "' need a number of permutations from 1 to " +
                        std::to_string(kMostTasks) + ", as in permuted-fashion-mnist:10");
  return tasks;
}

std::shared_ptr<const TaskStream::Samples> load(const std::string& data,
                                                const std::optional<std::string>& labels,
                                                const Architecture& architecture) {
  const Graph* graph = architecture.graph();
  const auto dataset = open_dataset(
      data, labels,
      {architecture.inputs(), architecture.outputs(), graph ? graph->tokens() : 0, architecture.positions()});
  require_fit(*dataset, architecture, Likelihood::Categorical);
  auto samples = std::make_shared<TaskStream::Samples>();
  samples->name = data;
  samples->features = dataset->features();
  samples->inputs = AlignedBuffer<float>(dataset->size() * samples->features);
  samples->width = dataset->target_width();
  samples->labels.resize(dataset->size() * samples->width);
  dataset->read_inputs(0, {samples->inputs.data(), dataset->size(), samples->features});
  dataset->read_targets(0, {samples->labels.data(), dataset->size(), samples->width});
  return samples;
}

void require_classes(const TaskStream::Samples& samples, const Architecture& architecture) {
  const float largest = *std::ranges::max_element(samples.labels);
  if (largest >= static_cast<float>(architecture.outputs()))
    throw ArgumentError(samples.name + " has the label " + std::to_string(static_cast<long>(largest)) +
                        " and the network only " + std::to_string(architecture.outputs()) + " outputs");
}

/// The name of the test half where `data` names the training half of a known set.
std::string test_half(const std::string& data) {
  constexpr std::string_view kTrain = ":train";
  const bool named =
      (data.starts_with("fashion-mnist:") || data.starts_with("mnist:")) && data.ends_with(kTrain);
  return named ? data.substr(0, data.size() - kTrain.size()) + ":test" : "";
}

using SharedSamples = std::shared_ptr<const TaskStream::Samples>;

/// A random sixth of `samples`, the same for every seed, as .second; the others as .first.
std::pair<SharedSamples, SharedSamples> keep_for_test(const TaskStream::Samples& samples) {
  constexpr std::uint64_t kIndex = std::uint64_t{1} << 63;  // of no task
  const std::size_t count = samples.size(), kept = count / kTestShare;
  if (kept == 0) throw ArgumentError(samples.name + " has too few samples to keep some of them for a test");
  std::vector<std::uint32_t> order = shuffled(count, 0, random_stream::kHoldOut, kIndex);
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(kept);
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  return {std::make_shared<TaskStream::Samples>(samples.take({middle, order.end()})),
          std::make_shared<TaskStream::Samples>(samples.take({order.begin(), middle}))};
}

}  // namespace

StreamOptions parse_stream(const std::string& text) {
  StreamOptions options;
  if (text == "A-then-B") {
    options.kind = StreamKind::Pair;
    options.tasks = 2;
    return options;
  }
  const std::size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  for (const std::string set : {"fashion-mnist", "mnist"}) {
    options.sources = {{set + ":train", std::nullopt, set + ":test", std::nullopt}};
    if (text == "split-" + set) {
      options.tasks = kSplitTasks;
      return options;
    }
    if (name == "permuted-" + set) {
      options.kind = StreamKind::Permuted;
      options.tasks =
          task_count(text, colon == std::string::npos ? "" : std::string_view(text).substr(colon + 1));
      return options;
    }
  }
  throw ArgumentError("tasks '" + text + "' are unknown; there are " + kStreams);
}

TaskStream::TaskStream(const StreamOptions& options, const Architecture& architecture) : options_(options) {
  const std::size_t sources = options.kind == StreamKind::Pair ? 2 : 1;
  if (options.sources.size() != sources)
    throw ArgumentError("this stream of tasks needs " + std::to_string(sources) + " data sources, not " +
                        std::to_string(options.sources.size()));
  if (!(options.validation_share >= 0 && options.validation_share < 1))
    throw ArgumentError("validation_share must be at least 0 and below 1, not " +
                        std::to_string(options.validation_share));
  classes_ = architecture.outputs();
  if (options.kind == StreamKind::Split)
    require_one_position(architecture, "a data set split by its classes");
  if (options.kind == StreamKind::Split && (classes_ % options.tasks != 0 || classes_ / options.tasks < 2))
    throw ArgumentError("the network's " + std::to_string(classes_) + " outputs cannot be shared out among " +
                        std::to_string(options.tasks) + " tasks of at least 2 classes each");
  for (const SampleSource& source : options.sources) {
    const std::string test = source.test_data.empty() ? test_half(source.data) : source.test_data;
    Source loaded{load(source.data, source.labels, architecture), nullptr};
    if (test.empty())
      std::tie(loaded.train, loaded.test) = keep_for_test(*loaded.train);
    else
      loaded.test = load(test, source.test_labels, architecture);
    require_classes(*loaded.train, architecture);
    require_classes(*loaded.test, architecture);
    sources_.push_back(std::move(loaded));
  }
}

void TaskStream::add_training(Task& task, const Source& source, std::vector<std::uint32_t> rows,
                              std::size_t index, std::uint64_t seed) const {
  const auto kept = static_cast<std::size_t>(options_.validation_share * static_cast<double>(rows.size()));
  if (rows.size() <= kept || (options_.validation_share > 0 && kept == 0))
    throw ArgumentError(source.train->name + " has too few samples for " + task.name);
  std::vector<std::uint32_t> features;
  if (options_.kind == StreamKind::Permuted && index > 0)
    features = shuffled(source.train->features, seed, random_stream::kPixelOrder, index);
  if (kept > 0) {
    const std::vector<std::uint32_t> order = shuffled(rows.size(), seed, random_stream::kHoldOut, index);
    std::vector<std::uint32_t> validation, rest;
    std::vector<bool> held(rows.size());
    for (std::size_t i = 0; i < kept; ++i) held[order[i]] = true;
    for (std::size_t i = 0; i < rows.size(); ++i) (held[i] ? validation : rest).push_back(rows[i]);
    task.validation = make_view(source.train, std::move(validation), features, {});
    rows = std::move(rest);
  }
  std::vector<float> positions;  // of a label within the task's head
  if (!task.outputs.empty()) {
    positions.resize(classes_);
    for (std::size_t p = 0; p < task.outputs.size(); ++p) positions[task.outputs[p]] = static_cast<float>(p);
  }
  task.fisher = make_view(source.train, rows, features, positions);
  task.train = make_view(source.train, std::move(rows), features, {});
}

TaskSequence TaskStream::split(std::uint64_t seed) const {
  std::vector<std::uint32_t> order(classes_);
  std::iota(order.begin(), order.end(), std::uint32_t{0});
  if (options_.shuffle_classes) order = shuffled(classes_, seed, random_stream::kClassOrder, 0);
  const std::size_t width = classes_ / options_.tasks;
  const auto rows_of = [](const Samples& samples, const std::vector<std::size_t>& classes) {
    std::vector<std::uint32_t> rows;
    for (std::size_t n = 0; n < samples.labels.size(); ++n)
      if (std::ranges::find(classes, static_cast<std::size_t>(samples.labels[n])) != classes.end())
        rows.push_back(static_cast<std::uint32_t>(n));
    return rows;
  };
  TaskSequence sequence;
  std::vector<std::vector<std::size_t>> heads;
  for (std::size_t t = 0; t < options_.tasks; ++t) {
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(t * width);
    Task task;
    task.outputs.assign(first, first + static_cast<std::ptrdiff_t>(width));
    std::ranges::sort(task.outputs);
    task.name = "classes";
    for (const std::size_t output : task.outputs) task.name += " " + std::to_string(output);
    add_training(task, sources_[0], rows_of(*sources_[0].train, task.outputs), t, seed);
    std::vector<std::uint32_t> test = rows_of(*sources_[0].test, task.outputs);
    if (test.empty()) throw ArgumentError(sources_[0].test->name + " has no samples of " + task.name);
    task.test = make_view(sources_[0].test, std::move(test), {}, {});
    heads.push_back(task.outputs);
    sequence.tasks.push_back(std::move(task));
  }
  sequence.heads = OutputHeads(heads, classes_);
  return sequence;
}

Task TaskStream::whole(const Source& source, std::size_t index, std::uint64_t seed,
                       const std::string& name) const {
  const auto all = [](const Samples& samples) {
    std::vector<std::uint32_t> rows(samples.size());
    std::iota(rows.begin(), rows.end(), std::uint32_t{0});
    return rows;
  };
  Task task;
  task.name = name;
  add_training(task, source, all(*source.train), index, seed);
  std::vector<std::uint32_t> features;
  if (options_.kind == StreamKind::Permuted && index > 0)
    features = shuffled(source.train->features, seed, random_stream::kPixelOrder, index);
  task.test = make_view(source.test, all(*source.test), std::move(features), {});
  return task;
}

TaskSequence TaskStream::sequence(std::uint64_t seed) const {
  if (options_.kind == StreamKind::Split) return split(seed);
  TaskSequence sequence;
  for (std::size_t t = 0; t < options_.tasks; ++t) {
    const Source& source = options_.kind == StreamKind::Pair ? sources_[t] : sources_[0];
    sequence.tasks.push_back(
        whole(source, t, seed,
              options_.kind == StreamKind::Pair ? source.train->name : "permutation " + std::to_string(t)));
  }
  return sequence;
}

}  // namespace fisherdiag
