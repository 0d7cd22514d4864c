#include "cli/continual_options.hpp"

#include <limits>
#include <vector>

#include "cli/errors.hpp"
#include "fisherdiag/base/error.hpp"

namespace fisherdiag::cli {

namespace {

/// Of each task's training samples, kept to choose lambda by.
constexpr double kValidationShare = 1.0 / 6;
/// Near the best one for `exact` in van de Ven 2025, and carried over to every other estimator.
constexpr const char* kDefaultLambdaFrom = "exact:1e5";
constexpr std::size_t kMostSeeds = 100000;

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

/// The library's complaint about a word as the UsageError it is.
template <class Parse>
auto parsed(const std::string& option, const Parse& parse) {
  try {
    return parse();
  } catch (const ArgumentError& error) {
    throw UsageError(option + ": " + error.what());
  }
}

void require_pair(const ContinualOptions& options, StreamKind kind) {
  const bool pair = kind == StreamKind::Pair;
  if (pair && (options.task_a.data.empty() || options.task_b.data.empty()))
    throw UsageError("--tasks A-then-B needs --task-a and --task-b");
  if (!pair && !(options.task_a.data.empty() && options.task_b.data.empty()))
    throw UsageError("--task-a and --task-b belong to --tasks A-then-B");
}

void add_source(CLI::App& verb, const std::string& name, SampleSource& source) {
  const std::string group = "Sources of A-then-B";
  CLI::Option* data =
      verb.add_option(name, source.data,
                      "A .npy or IDX(.gz) file, fashion-mnist:train, mnist:train or synthetic:N")
          ->type_name("X")
          ->group(group);
  verb.add_option(name + "-labels", source.labels, "Its labels, where it has none of its own")
      ->needs(data)
      ->type_name("Y")
      ->group(group);
  CLI::Option* test = verb.add_option(name + "-test", source.test_data,
                                      "Samples to test on; default: SET:test, or a sixth of the data")
                          ->needs(data)
                          ->type_name("Z")
                          ->group(group);
  verb.add_option(name + "-test-labels", source.test_labels, "Their labels")
      ->needs(test)
      ->type_name("V")
      ->group(group);
}

void add_method_options(CLI::App& verb, ContinualOptions& options) {
  verb.add_option("--methods", options.methods,
                  "none, joint, l2, ewc-separate, ewc-merged, ewc-online, separated by commas; EWC with "
                  ":ESTIMATOR[=DRAWS or BATCH][@SAMPLES], as in ewc-online:exact@500")
      ->required()
      ->type_name("M[,M...]");
  verb.add_option("--lambda", options.lambdas, "Strengths of the penalty; the best one is chosen")
      ->type_name("L[,L...]");
  verb.add_option("--lambda-from", options.lambda_from,
                  "E:L: strength L of estimator E, for each other one times the ratio of the traces; default "
                  "without --lambda: exact:1e5")
      ->type_name("E:L");
  verb.add_option("--lambda-seeds", options.lambda_seeds,
                  "Try all of several lambdas with this many seeds, the best one with all")
      ->check(whole_number(1, kMostSeeds))
      ->type_name("N");
  verb.add_option("--select", options.select, "Best lambda by accuracy on: validation (a sixth kept) or test")
      ->check(one_of({"validation", "test"}))
      ->type_name("ON")
      ->capture_default_str();
  verb.add_option("--gamma", options.settings.decay_factor, "Of ewc-online and l2: F <- G F_old + F_new")
      ->type_name("G")
      ->capture_default_str();
  verb.add_option("--subset", options.subset, "Samples of a Fisher pass, for estimators without @SAMPLES")
      ->check(whole_number(1, kMostCount))
      ->type_name("N");
}

void add_training_options(CLI::App& verb, ContinualOptions& options) {
  verb.add_option("--arch", options.arch,
                  "mlp:784-256-10[:relu|tanh|sigmoid], a preset such as lenet5, or a JSON file")
      ->type_name("A")
      ->capture_default_str();
  verb.add_option("--iterations", options.settings.iterations, "Steps of Adam for each task")
      ->check(whole_number(1, kMostCount))
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--batch-size", options.settings.batch_size, "Samples per step")
      ->check(whole_number(1, kMostPerSample))
      ->type_name("B")
      ->capture_default_str();
  verb.add_option("--learning-rate", options.settings.learning_rate, "Of Adam")
      ->type_name("R")
      ->capture_default_str();
  verb.add_option("--optimizer-state", options.optimizer_state, "Between tasks: keep or reset")
      ->check(one_of({"keep", "reset"}))
      ->type_name("HOW")
      ->capture_default_str();
  verb.add_option("--class-order", options.class_order, "Of split tasks: seed (another for each) or data")
      ->check(one_of({"seed", "data"}))
      ->type_name("HOW")
      ->capture_default_str();
  verb.add_option("--seeds", options.seeds, "Runs of each method: seeds 1 to N")
      ->check(whole_number(1, kMostSeeds))
      ->type_name("N")
      ->capture_default_str();
}

}  // namespace

void add_continual_options(CLI::App& verb, ContinualOptions& options) {
  verb.add_option("--tasks", options.tasks,
                  "split-fashion-mnist, permuted-fashion-mnist:K, the same of mnist, or A-then-B")
      ->required()
      ->type_name("T");
  add_method_options(verb, options);
  add_training_options(verb, options);
  add_source(verb, "--task-a", options.task_a);
  add_source(verb, "--task-b", options.task_b);
  verb.add_option("-o,--output", options.output,
                  "Results, written after every run; with the same file again the missing runs are made")
      ->type_name("FILE");
  add_common_options(verb, options.common);
}

StreamOptions stream_options(const ContinualOptions& options) {
  StreamOptions stream = parsed("--tasks", [&] { return parse_stream(options.tasks); });
  require_pair(options, stream.kind);
  if (stream.kind == StreamKind::Pair) stream.sources = {options.task_a, options.task_b};
  stream.shuffle_classes = options.class_order == "seed";
  stream.validation_share = options.select == "validation" ? kValidationShare : 0;
  return stream;
}

StudyPlan study_plan(const ContinualOptions& options) {
  StudyPlan plan;
  bool penalized = false;
  for (const std::string& word : split_list(options.methods)) {
    ContinualMethod method = parsed("--methods", [&] { return ContinualMethod::parse(word); });
    if (method.uses_fisher() && !method.fisher.subset) method.fisher.subset = options.subset;
    penalized = penalized || method.has_penalty();
    for (const ContinualMethod& other : plan.methods)
      if (other.name() == method.name())
        throw UsageError("--methods: method '" + method.name() + "' is given twice");
    plan.methods.push_back(method);
  }
  if (!options.lambdas.empty())
    for (const std::string& word : split_list(options.lambdas))
      plan.lambdas.push_back(parsed("--lambda", [&] { return parse_lambda(word); }));
  std::string from = options.lambda_from;
  if (from.empty() && plan.lambdas.empty() && penalized) from = kDefaultLambdaFrom;
  if (!from.empty())
    plan.translation = parsed("--lambda-from", [&] { return LambdaTranslation::parse(from); });
  plan.seeds = options.seeds;
  plan.lambda_seeds = options.lambda_seeds;
  plan.selection = options.select == "test" ? Selection::Test : Selection::Validation;
  return plan;
}

ContinualSettings continual_settings(const ContinualOptions& options) {
  ContinualSettings settings = options.settings;
  settings.reset_optimizer = options.optimizer_state == "reset";
  if (!(settings.decay_factor > 0 && settings.decay_factor <= 1))
    throw UsageError("--gamma must be above 0 and at most 1");
  if (!(settings.learning_rate > 0 && settings.learning_rate <= std::numeric_limits<float>::max()))
    throw UsageError("--learning-rate must be above 0");
  return settings;
}

}  // namespace fisherdiag::cli
