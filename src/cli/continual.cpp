// fisherdiag continual: forgetting, and what EWC does about it.
#include <atomic>
#include <mutex>

#include "cli/continual_options.hpp"
#include "cli/continual_results.hpp"
#include "cli/errors.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/base/version.hpp"

namespace fisherdiag::cli {

namespace {

Json source_to_json(const SampleSource& source) {
  const auto text = [](const std::optional<std::string>& word) {
    return word && !word->empty() ? Json(*word) : Json(nullptr);
  };
  return {{"data", source.data},
          {"labels", text(source.labels)},
          {"test_data", text(source.test_data)},
          {"test_labels", text(source.test_labels)}};
}

/// Everything the result of a run depends on beside its method, lambda and seed.
Json settings_to_json(const ContinualOptions& options, const StreamOptions& stream,
                      const ContinualSettings& settings, const Architecture& architecture,
                      const Context& context) {
  Json json = Json::object();
  json["tasks"] = options.tasks;
  json["sources"] = Json::array();
  for (const SampleSource& source : stream.sources) json["sources"].push_back(source_to_json(source));
  json["arch"] = Json::parse(architecture.to_json());
  json["iterations"] = settings.iterations;
  json["batch_size"] = settings.batch_size;
  json["learning_rate"] = settings.learning_rate;
  json["optimizer_state"] = options.optimizer_state;
  json["gamma"] = settings.decay_factor;
  json["class_order"] = options.class_order;
  json["validation_share"] = stream.validation_share;
  json["isa"] = isa_name(context.isa());
  return json;
}

std::string percent(double share) {
  return number(100 * share);
}

std::string to_text(const StudyPlan& plan, const StudyRuns& runs) {
  const std::vector<StudySummary> summaries = summarize(plan, runs);
  std::vector<std::vector<std::string>> rows = {
      {"method", "lambda", "seeds", "accuracy %", "+-", "forgetting", "training", "Fisher", "penalty"}};
  for (const StudySummary& summary : summaries) {
    std::string name = summary.method.name();
    if (summary.selected && summary.method.has_penalty() && plan.lambdas.size() > 1) name += " (best)";
    if (!summary.translation.empty()) name += " (from " + summary.translation + ")";
    rows.push_back({name, summary.lambda ? number(*summary.lambda) : "-", grouped(summary.seeds),
                    percent(summary.average_accuracy),
                    summary.standard_error ? percent(*summary.standard_error) : "-",
                    percent(summary.forgetting), duration(summary.seconds_training),
                    duration(summary.seconds_fisher), duration(summary.seconds_penalty)});
  }
  std::string text = table(rows);
  for (const Json& entry : translations(summaries)) {
    const double translated = entry["average_accuracy"], best = entry["best_average_accuracy"];
    text += "lambda of " + entry["lambda_from"].get<std::string>() + " carried over to " +
            ContinualMethod::parse(
                entry["method"].get<std::string>() +
                (entry["estimator"].is_null() ? "" : ":" + entry["estimator"].get<std::string>()))
                .name() +
            ": " + percent(translated - best) + " points from its best in the list\n";
  }
  return text;
}

/// Counts steps of all runs for the progress line, which is drawn by one thread at a time.
class StepCounter {
 public:
  StepCounter(std::size_t done, std::size_t total, bool quiet)
      : done_(done), total_(total), progress_("learning", "steps", quiet) {}

  bool step() {
    const std::size_t done = ++done_;
    if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) progress_.update(done, total_);
    return caught_signal() == 0;
  }

 private:
  std::atomic<std::size_t> done_;
  std::size_t total_;
  Progress progress_;
  std::mutex mutex_;
};

void run_plan(const ContinualOptions& options, const TaskStream& stream, const Architecture& architecture,
              const ContinualSettings& settings, const StudyPlan& plan, ContinualResults& results,
              const Context& context) {
  const std::size_t steps = stream.size() * settings.iterations;
  const std::size_t planned = planned_runs(plan);
  const std::size_t missing = std::min(planned, missing_runs(plan, results.runs()).size());
  StepCounter counter((planned - missing) * steps, planned * steps, options.common.quiet);
  StudyCallbacks callbacks;
  callbacks.finished = [&](const RunKey&, const ContinualResult&) { results.save(plan); };
  callbacks.progress = [&] { return counter.step(); };
  run_study(stream, architecture, settings, plan, results.runs(), context, callbacks);
}

int interrupted(const ContinualOptions& options, const StudyPlan& plan, const ContinualResults& results) {
  print_error(options.output.empty() ? "interrupted; nothing was written (-o FILE keeps finished runs)"
                                     : "interrupted; " + grouped(results.runs().size()) + " runs of " +
                                           grouped(planned_runs(plan)) + " are in " + options.output +
                                           ", and the same command continues with the others");
  return kSignalBase + caught_signal();
}

std::vector<std::string> inputs(const ContinualOptions& options) {
  std::vector<std::string> files = {options.arch};
  for (const SampleSource* source : {&options.task_a, &options.task_b}) {
    files.push_back(source->data);
    files.push_back(source->test_data);
    files.push_back(source->labels.value_or(""));
    files.push_back(source->test_labels.value_or(""));
  }
  return files;
}

int continual(const ContinualOptions& options) {
  const StreamOptions stream_request = stream_options(options);
  const StudyPlan plan = study_plan(options);
  const ContinualSettings settings = continual_settings(options);
  const Context context = make_context(options.common);
  const Architecture architecture = parse_architecture(options.arch);
  if (!options.output.empty()) check_output(options.output, inputs(options));
  ContinualResults results(options.output,
                           settings_to_json(options, stream_request, settings, architecture, context));
  const TaskStream stream(stream_request, architecture);
  if (!options.common.quiet)
    print_note(architecture.summary() + ", " + grouped(stream.size()) + " tasks, " +
               grouped(planned_runs(plan)) + " runs, " + describe(context, options.common));
  try {
    run_plan(options, stream, architecture, settings, plan, results, context);
    results.save(plan);  // the plan may have changed even where no run was missing
  } catch (const InterruptedError&) {
    return interrupted(options, plan, results);
  }
  if (options.common.json)
    print_json(results.to_json(plan));
  else
    print(to_text(plan, results.runs()));
  return kDone;
}

}  // namespace

Run add_continual(CLI::App& verb) {
  const auto options = std::make_shared<ContinualOptions>();
  verb.footer(
      "  fisherdiag continual --tasks split-fashion-mnist --methods none,joint,ewc-online:exact --lambda 1e5 "
      "\\\n"
      "      --seeds 3 -o results.json\n"
      "  fisherdiag continual --tasks permuted-fashion-mnist:10 --methods none,ewc-merged:empirical \\\n"
      "      --lambda 1e3,1e4,1e5,1e6 --lambda-seeds 1 --seeds 5 -o permuted.json\n"
      "  fisherdiag continual --tasks A-then-B --task-a mnist:train --task-b fashion-mnist:train \\\n"
      "      --methods none,l2,ewc-online:mc=4@1000 --lambda-from exact:1e5");
  add_continual_options(verb, *options);
  return [options] { return continual(*options); };
}

}  // namespace fisherdiag::cli
