// A study of continual learning: methods x lambdas x seeds, and what they say together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fisherdiag/train/continual_run.hpp"

namespace fisherdiag {

/// What the best lambda is chosen by.
enum class Selection {
  Validation,  ///< accuracy on samples kept from training
  Test,        ///< accuracy on the test samples, as van de Ven 2025 does
};

struct StudyPlan {
  std::vector<ContinualMethod> methods;
  std::vector<double> lambdas;                   ///< tried for each method with a penalty
  std::optional<LambdaTranslation> translation;  ///< one more lambda for each of them
  std::size_t seeds = 1;                         ///< 1, 2, ..., seeds
  /// With more than one lambda: all of them are tried with the first seeds only, then the best one with all.
  /// Empty: all lambdas with all seeds.
  std::optional<std::size_t> lambda_seeds;
  Selection selection = Selection::Validation;
};

/// Names one run within a study.
struct RunKey {
  std::string method;
  std::optional<double> lambda;  ///< empty without a penalty, or when translated
  std::string translation;       ///< empty unless translated
  std::uint64_t seed = 1;

  auto operator<=>(const RunKey&) const = default;
};

using StudyRuns = std::map<RunKey, ContinualResult>;

/// All seeds of one method at one lambda.
struct StudySummary {
  ContinualMethod method;
  std::optional<double> lambda;  ///< translated: the geometric mean over seeds
  std::string translation;       ///< empty unless translated
  std::size_t seeds = 0;
  double average_accuracy = 0;           ///< mean over seeds, as the next ones
  std::optional<double> standard_error;  ///< of average_accuracy; empty for one seed
  std::optional<double> validation;      ///< accuracy; empty without validation samples
  double forgetting = 0;
  double seconds_training = 0, seconds_fisher = 0, seconds_penalty = 0;
  bool selected = false;  ///< the best lambda of its method, or its only one
};

/// The runs the plan still needs beside those in `done`, in the order in which they should be made: seed by
/// seed. After these are made there may be more (StudyPlan::lambda_seeds); when none is left, the study is
/// finished. Throws ArgumentError for a plan without methods or seeds, with a method twice, or with a penalty
/// and no lambda.
std::vector<ContinualRequest> missing_runs(const StudyPlan& plan, const StudyRuns& done);

/// How many runs the plan needs in all.
std::size_t planned_runs(const StudyPlan& plan);

RunKey key_of(const ContinualRequest& request);

/// One entry for each method and lambda of the plan that has runs: in the plan's order, the translated lambda
/// last.
std::vector<StudySummary> summarize(const StudyPlan& plan, const StudyRuns& runs);

struct StudyCallbacks {
  /// Called with each finished run, one at a time. What it throws ends the study.
  std::function<void(const RunKey&, const ContinualResult&)> finished;
  /// Called after every iteration of every run, from any thread; false stops with InterruptedError.
  std::function<bool()> progress;
};

/// Makes the missing runs. Independent runs fill the threads of `context`, a thread each; fewer runs than
/// threads have several each. Accuracies do not depend on that.
void run_study(const TaskStream& stream, const Architecture& architecture, const ContinualSettings& settings,
               const StudyPlan& plan, StudyRuns& runs, const Context& context,
               const StudyCallbacks& callbacks);

}  // namespace fisherdiag
