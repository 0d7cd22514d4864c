// fisherdiag plan: what a compute will cost, before it runs.
#include "fisherdiag/fisher/plan.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "cli/compute_options.hpp"
#include "cli/errors.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/base/version.hpp"

namespace fisherdiag::cli {

namespace {

struct PlanOptions {
  ComputeOptions compute;
  std::optional<std::size_t> samples;
};

constexpr const char* kModel =
    "seconds(t) = fixed + max(work / t, bytes_moved / bytes_per_second); work = seconds measured for a "
    "sample x samples "
    "x threads measured with";

std::vector<std::string> assumptions(const FisherPlan& plan, const PlanOptions& options,
                                     const Context& context) {
  std::vector<std::string> list = {
      "the machine is as idle as it was just now",
      "seconds are those of the pass; reading the data comes on top",
      "more threads are more cores like these behind the same memory, which moves " +
          si(plan.bytes_per_second, "B/s") + " with " + std::to_string(context.threads()) +
          (context.threads() == 1 ? " thread" : " threads")};
  if (options.compute.model.data.empty())
    list.push_back("samples are like synthetic ones, half of whose features are zero");
  if (options.compute.model.weights.empty())
    list.push_back("weights are random, so about half of the units are active");
  if (options.compute.until)
    list.push_back("--until needs every sample it may take; it stops earlier where fewer are enough");
  if (plan.narrowed)
    list.push_back(
        "measured on a narrower network, as this one takes too long; seconds grow with operations");
  return list;
}

/// 1, 2, 4, ... to twice the cores, and the threads of the plan.
std::vector<int> thread_counts(int threads) {
  const int most = std::max(8, 2 * std::max(threads, physical_cores()));
  std::vector<int> counts = {threads};
  for (int t = 1; t <= most; t *= 2) counts.push_back(t);
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

Json to_json(const FisherPlan& plan, const PlanOptions& options, const Architecture& architecture,
             const Context& context) {
  Json json = Json::object();
  json["estimator"] = options.compute.estimator.estimator;
  json["samples"] = plan.samples;
  if (plan.scored_samples) json["scored_samples"] = plan.scored_samples;
  json["parameters"] = architecture.parameter_count();
  json["threads"] = context.threads();
  json["isa"] = isa_name(context.isa());
  json["seconds"] = plan.seconds;
  json["fixed_seconds"] = plan.fixed_seconds;
  json["samples_per_second"] = static_cast<double>(plan.samples) / plan.seconds;
  json["flops"] = plan.flops;
  json["flops_per_second"] = plan.flops / plan.seconds;
  json["peak_bytes"] = plan.peak_bytes;
  json["block_rows"] = plan.block_rows;
  json["bytes_moved"] = plan.bytes_moved;
  json["bytes_per_second"] = plan.bytes_per_second;
  json["scaling"] = Json::array();
  for (const ThreadPlan& entry : plan.scaling)
    json["scaling"].push_back(
        {{"threads", entry.threads}, {"seconds", entry.seconds}, {"limit", plan_limit_name(entry.limit)}});
  json["model"] = kModel;
  json["assumptions"] = assumptions(plan, options, context);
  json["calibration_seconds"] = plan.calibration_seconds;
  json["version"] = version();
  return json;
}

std::string to_text(const FisherPlan& plan, const PlanOptions& options, const Architecture& architecture,
                    const Context& context) {
  std::string text = "a plan, not a measurement: " + options.compute.estimator.estimator +
                     " Fisher diagonal over " + grouped(plan.samples) + " samples, " +
                     grouped(architecture.parameter_count()) + " parameters\n";
  text += "time     " + duration(plan.seconds) + " for the pass, " + duration(plan.fixed_seconds) +
          " of them once\n";
  text += "speed    " + si(static_cast<double>(plan.samples) / plan.seconds, "samples/s") + ", " +
          si(plan.flops / plan.seconds, "flop/s") + "\n";
  text += "memory   " + binary_size(static_cast<double>(plan.peak_bytes)) + " at most\n\n";
  std::vector<std::vector<std::string>> rows = {{"threads", "time", "limit"}};
  for (const ThreadPlan& entry : plan.scaling)
    rows.push_back(
        {std::to_string(entry.threads), duration(entry.seconds), std::string(plan_limit_name(entry.limit))});
  text += table(rows) + "\nassuming that\n";
  for (const std::string& assumption : assumptions(plan, options, context)) text += "  " + assumption + "\n";
  return text;
}

std::optional<Network> load_if_given(const ModelOptions& model) {
  if (model.weights.empty()) return std::nullopt;
  return load_network(model);
}

int plan(const PlanOptions& options) {
  const ModelOptions& model = options.compute.model;
  if (model.arch.empty() && model.weights.empty()) throw UsageError("plan needs --arch or --weights");
  if (model.data.empty() && !options.samples) throw UsageError("plan needs --samples or --data");
  const FisherOptions request = fisher_options(options.compute);
  const Context context = make_context(options.compute.common);
  PlanRequest plan_request;
  plan_request.base_bytes = static_cast<std::size_t>(resident_bytes());
  plan_request.threads = thread_counts(context.threads());
  const std::optional<Network> network = load_if_given(model);
  const Architecture architecture = network ? network->architecture() : parse_architecture(model.arch);
  std::unique_ptr<Dataset> data;
  if (!model.data.empty()) data = open_data(model.data, model.labels, architecture);
  plan_request.samples = options.samples.value_or(data ? data->size() : 0);
  plan_request.network = network ? &*network : nullptr;
  plan_request.data = data.get();
  if (!options.compute.common.quiet)
    print_note(architecture.summary() + ", " + describe(context, options.compute.common) +
               ", measuring for a second or two");
  const FisherPlan result = plan_fisher(architecture, plan_request, request, context);
  throw_if_interrupted();
  if (options.compute.common.json)
    print_json(to_json(result, options, architecture, context));
  else
    print(to_text(result, options, architecture, context));
  return kDone;
}

}  // namespace

Run add_plan(CLI::App& verb) {
  const auto options = std::make_shared<PlanOptions>();
  verb.footer(
      "  fisherdiag plan --arch mlp:784-4096-4096-10 --samples 60000 --estimator exact\n"
      "  fisherdiag plan --weights W.safetensors --data X.npy --threads 1 --json\n"
      "  It takes the options of compute; those that do not change the cost are accepted and ignored.");
  add_compute_options(verb, options->compute);
  for (const char* name : {"--weights", "--data"}) verb.get_option(name)->required(false);
  verb.add_option("--samples", options->samples, "Samples to plan for; default: those of --data")
      ->check(whole_number(1, kMostCount))
      ->type_name("N");
  add_common_options(verb, options->compute.common);
  return [options] { return plan(*options); };
}

}  // namespace fisherdiag::cli
