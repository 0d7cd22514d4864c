// Sequences of tasks for continual learning, made of labelled data sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/nn/architecture.hpp"
#include "fisherdiag/train/output_heads.hpp"

namespace fisherdiag {

enum class StreamKind {
  Split,     ///< the classes of one data set shared out among tasks, a head each (task-incremental)
  Permuted,  ///< one data set with its features in another order in each task (domain-incremental)
  Pair,      ///< one data set, then another, over the same outputs (domain-incremental)
};

/// Words as on the command line, see open_dataset.
struct SampleSource {
  std::string data;
  std::optional<std::string> labels;
  std::string test_data;  ///< empty: SET:test where data is SET:train, else a sixth of data is kept for it
  std::optional<std::string> test_labels;
};

struct StreamOptions {
  StreamKind kind = StreamKind::Split;
  std::size_t tasks = 5;
  std::vector<SampleSource> sources;  ///< one; for Pair two
  bool shuffle_classes = true;        ///< Split: which classes a task gets depends on the seed
  double validation_share = 0;        ///< of each task's training samples, kept from training
};

/// `split-SET`, `permuted-SET:K` and `A-then-B`, SET being fashion-mnist or mnist. The sources of A-then-B
/// are the caller's. Throws ArgumentError for anything else, naming what there is.
StreamOptions parse_stream(const std::string& text);

/// One task. Its datasets keep what they need of the stream's samples, and may be read while others are.
struct Task {
  std::string name;
  std::vector<std::size_t> outputs;  ///< of the network that are its head; empty: all
  std::unique_ptr<Dataset> train, test;
  std::unique_ptr<Dataset> validation;  ///< null if validation_share is 0
  std::unique_ptr<Dataset> fisher;      ///< train, with labels counted within the head
};

/// The tasks of one seed.
struct TaskSequence {
  std::vector<Task> tasks;
  OutputHeads heads;  ///< empty unless Split
};

/// The samples of a stream, read into memory once (4 bytes per value), and the sequences made of them.
class TaskStream {
 public:
  /// Errors: ArgumentError for an architecture or options that do not fit the data, and what open_dataset and
  /// reading throw.
  TaskStream(const StreamOptions& options, const Architecture& architecture);

  /// Everything that differs between seeds is drawn here: classes of a task, order of features (task 0 keeps
  /// the data's own), samples kept from training. Thread-safe.
  TaskSequence sequence(std::uint64_t seed) const;
  std::size_t size() const { return options_.tasks; }

  /// Samples and their labels in memory.
  struct Samples;

 private:
  struct Source {
    std::shared_ptr<const Samples> train, test;
  };
  TaskSequence split(std::uint64_t seed) const;
  Task whole(const Source& source, std::size_t index, std::uint64_t seed, const std::string& name) const;
  void add_training(Task& task, const Source& source, std::vector<std::uint32_t> rows, std::size_t index,
                    std::uint64_t seed) const;

  StreamOptions options_;
  std::vector<Source> sources_;
  std::size_t classes_ = 0;
};

/// The samples of several datasets one after the other; they must outlive it and have labels and equal
/// widths.
std::unique_ptr<Dataset> concatenate(std::vector<Dataset*> parts);

}  // namespace fisherdiag
