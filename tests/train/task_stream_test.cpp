#include "fisherdiag/train/task_stream.hpp"

#include <algorithm>
#include <set>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"
#include "train/continual_fixture.hpp"

using namespace fisherdiag;
using fisherdiag::test::IdxFiles;
using fisherdiag::test::kStreamFeatures;
using fisherdiag::test::split_stream;
using fisherdiag::test::stream_architecture;
using fisherdiag::testing::contains;

namespace {

std::vector<float> inputs_of(Dataset& dataset) {
  std::vector<float> inputs(dataset.size() * dataset.features());
  dataset.read_inputs(0, {inputs.data(), dataset.size(), dataset.features()});
  return inputs;
}

std::vector<float> labels_of(Dataset& dataset) {
  std::vector<float> labels(dataset.size());
  dataset.read_targets(0, {labels.data(), dataset.size(), 1});
  return labels;
}

/// Rows as a set: which samples a dataset holds, in whatever order.
std::multiset<std::vector<float>> rows_of(Dataset& dataset) {
  const std::vector<float> inputs = inputs_of(dataset);
  std::multiset<std::vector<float>> rows;
  for (std::size_t n = 0; n < dataset.size(); ++n)
    rows.insert({inputs.begin() + static_cast<std::ptrdiff_t>(n * kStreamFeatures),
                 inputs.begin() + static_cast<std::ptrdiff_t>((n + 1) * kStreamFeatures)});
  return rows;
}

TaskStream whole_stream(StreamKind kind, std::size_t tasks, std::vector<SampleSource> sources) {
  StreamOptions options;
  options.kind = kind;
  options.tasks = tasks;
  options.sources = std::move(sources);
  return {options, stream_architecture()};
}

}  // namespace

TEST_CASE("streams by name") {
  REQUIRE(parse_stream("split-fashion-mnist").tasks == 5);
  REQUIRE(parse_stream("split-mnist").sources.at(0).data == "mnist:train");
  const StreamOptions permuted = parse_stream("permuted-fashion-mnist:10");
  REQUIRE(permuted.kind == StreamKind::Permuted);
  REQUIRE(permuted.tasks == 10);
  REQUIRE(permuted.sources.at(0).test_data == "fashion-mnist:test");
  REQUIRE(parse_stream("A-then-B").kind == StreamKind::Pair);
  for (const std::string text : {"split", "split-cifar", "permuted-mnist", "permuted-mnist:0",
                                 "permuted-mnist:x", "split-mnist:5", ""}) {
    CAPTURE(text);
    REQUIRE_THROWS_WITH(parse_stream(text), contains("'" + text + "'"));
  }
}

TEST_CASE("split tasks share the classes out, a head each, and no sample is in two") {
  const IdxFiles files("split", 240, 4, 1);
  const TaskStream stream = split_stream(files, 0.25);
  std::set<std::vector<std::size_t>> first_heads;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const TaskSequence sequence = stream.sequence(seed);
    REQUIRE(sequence.tasks.size() == 2);
    REQUIRE(sequence.heads.size() == 2);
    std::size_t test_samples = 0;
    for (std::size_t t = 0; t < 2; ++t) {
      const Task& task = sequence.tasks[t];
      REQUIRE(task.outputs == sequence.heads.outputs(t));
      // 240 samples, 60 of each class, a sixth of all for the test; a quarter of the others is held out.
      REQUIRE(task.train->size() + task.validation->size() + task.test->size() == 120);
      REQUIRE(task.validation->size() == (120 - task.test->size()) / 4);
      test_samples += task.test->size();
      for (Dataset* dataset : {task.train.get(), task.validation.get(), task.test.get()})
        for (const float label : labels_of(*dataset))
          REQUIRE(sequence.heads.head_of(static_cast<std::size_t>(label)) == t);
      const std::vector<float> labels = labels_of(*task.train), within = labels_of(*task.fisher);
      for (std::size_t n = 0; n < labels.size(); ++n)
        REQUIRE(task.outputs[static_cast<std::size_t>(within[n])] == static_cast<std::size_t>(labels[n]));
      REQUIRE(inputs_of(*task.train) == inputs_of(*task.fisher));
      const auto training = rows_of(*task.train), validation = rows_of(*task.validation);
      for (const auto& row : validation) REQUIRE_FALSE(training.contains(row));
    }
    REQUIRE(test_samples == 40);
    first_heads.insert(sequence.tasks[0].outputs);
  }
  // Of the 6 ways to choose two classes, 8 seeds find more than one unless (1/6)^7 happened.
  REQUIRE(first_heads.size() > 1);
}

TEST_CASE("classes stay in the data's order if they are not shuffled") {
  const IdxFiles files("order", 120, 4, 1);
  StreamOptions options;
  options.tasks = 2;
  options.sources = {files.source()};
  options.shuffle_classes = false;
  const TaskStream stream(options, stream_architecture());
  REQUIRE(stream.sequence(5).tasks[0].outputs == std::vector<std::size_t>{0, 1});
  REQUIRE(stream.sequence(5).tasks[1].outputs == std::vector<std::size_t>{2, 3});
  REQUIRE(stream.sequence(5).tasks[0].validation == nullptr);
}

TEST_CASE("permuted tasks permute the features of every sample alike, the first one not") {
  const IdxFiles files("permuted", 24, 4, 1);
  const TaskStream stream = whole_stream(StreamKind::Permuted, 3, {files.source()});
  const TaskSequence sequence = stream.sequence(2), again = stream.sequence(2), other = stream.sequence(3);
  REQUIRE(sequence.heads.empty());
  const std::vector<float> plain = inputs_of(*sequence.tasks[0].train);
  REQUIRE(plain == inputs_of(*other.tasks[0].train));
  for (std::size_t t = 1; t < 3; ++t) {
    const std::vector<float> permuted = inputs_of(*sequence.tasks[t].train);
    REQUIRE(permuted == inputs_of(*again.tasks[t].train));
    REQUIRE(permuted != plain);
    REQUIRE(permuted != inputs_of(*other.tasks[t].train));
    REQUIRE(labels_of(*sequence.tasks[t].train) == labels_of(*sequence.tasks[0].train));
    // Column i of the permuted samples is one column of the plain ones, in training and test alike.
    const std::vector<float> plain_test = inputs_of(*sequence.tasks[0].test);
    const std::vector<float> permuted_test = inputs_of(*sequence.tasks[t].test);
    std::set<std::size_t> used;
    for (std::size_t i = 0; i < kStreamFeatures; ++i)
      for (std::size_t j = 0; j < kStreamFeatures; ++j) {
        bool equal = true;
        for (std::size_t n = 0; n < plain.size(); n += kStreamFeatures)
          equal = equal && permuted[n + i] == plain[n + j];
        for (std::size_t n = 0; n < plain_test.size(); n += kStreamFeatures)
          equal = equal && permuted_test[n + i] == plain_test[n + j];
        if (equal) used.insert(j);
      }
    REQUIRE(used.size() == kStreamFeatures);
  }
}

TEST_CASE("a pair of data sets is two tasks over the same outputs") {
  const IdxFiles a("a", 24, 4, 1), b("b", 36, 3, 2);
  const TaskSequence sequence = whole_stream(StreamKind::Pair, 2, {a.source(), b.source()}).sequence(1);
  REQUIRE(sequence.heads.empty());
  REQUIRE(sequence.tasks[0].train->size() == 20);
  REQUIRE(sequence.tasks[1].train->size() == 30);
  REQUIRE(sequence.tasks[1].test->size() == 6);
}

TEST_CASE("a concatenation reads across its parts") {
  const IdxFiles a("a", 12, 4, 1), b("b", 18, 3, 2);
  const TaskSequence sequence = whole_stream(StreamKind::Pair, 2, {a.source(), b.source()}).sequence(1);
  Dataset& first = *sequence.tasks[0].train;
  Dataset& second = *sequence.tasks[1].train;
  const auto both = concatenate({&first, &second});
  REQUIRE(both->size() == first.size() + second.size());
  std::vector<float> expected = inputs_of(first);
  const std::vector<float> rest = inputs_of(second);
  expected.insert(expected.end(), rest.begin(), rest.end());
  REQUIRE(inputs_of(*both) == expected);
  std::vector<float> middle(4);
  both->read_targets(first.size() - 2, {middle.data(), 4, 1});
  const std::vector<float> left = labels_of(first), right = labels_of(second);
  REQUIRE(middle == std::vector<float>{left[left.size() - 2], left.back(), right[0], right[1]});
  REQUIRE_THROWS_AS(both->read_targets(both->size() - 3, {middle.data(), 4, 1}), ArgumentError);
}

TEST_CASE("streams refuse data and networks that do not fit each other") {
  const IdxFiles five("five", 60, 5, 1);
  REQUIRE_THROWS_WITH(whole_stream(StreamKind::Permuted, 2, {five.source()}), contains("label 4"));
  const IdxFiles four("four", 60, 4, 1);
  StreamOptions options;
  options.tasks = 3;
  options.sources = {four.source()};
  REQUIRE_THROWS_WITH(TaskStream(options, stream_architecture()), contains("4 outputs"));
  options.tasks = 2;
  REQUIRE_THROWS_WITH(TaskStream(options, Architecture::parse("mlp:5-4")), contains("6"));
  options.sources[0].labels.reset();
  REQUIRE_THROWS_WITH(TaskStream(options, stream_architecture()), contains("labels"));
  options.sources.clear();
  REQUIRE_THROWS_AS(TaskStream(options, stream_architecture()), ArgumentError);
}
