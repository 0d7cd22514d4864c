// fisherdiag check: the engine against a double-precision reference on the user's own model and data, or the
// network against the reference outputs it was exported with.
#include "fisherdiag/fisher/check.hpp"

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/replay.hpp"

namespace fisherdiag::cli {

namespace {

/// What --replay without a file means.
constexpr const char* kBesideWeights = "beside";

struct CheckVerbOptions {
  CommonOptions common;
  ModelOptions model;
  EstimatorOptions estimator;
  std::size_t samples = 8;
  std::string reference;  ///< empty: no replay
};

Json to_json(const CheckVerbOptions& options, const CheckReport& report, const Context& context) {
  Json json = Json::object();
  json["passed"] = report.passed;
  json["estimator"] = options.estimator.estimator;
  json["likelihood"] = options.model.likelihood;
  json["samples"] = report.samples;
  json["samples_at_corners"] = report.samples_at_corners;
  json["threads"] = context.threads();
  json["isa"] = isa_name(context.isa());
  json["fisher_tolerance"] = kFisherTolerance;
  json["gradient_tolerance"] = kGradientTolerance;
  json["layers"] = Json::array();
  for (const TensorCheck& tensor : report.tensors)
    json["layers"].push_back({{"name", tensor.name},
                              {"fisher_error", tensor.fisher_error},
                              {"gradient_error", tensor.gradient_error},
                              {"differences", tensor.differences},
                              {"kinks_skipped", tensor.kinks},
                              {"passed", tensor.passed}});
  json["version"] = version();
  return json;
}

std::string to_text(const CheckVerbOptions& options, const CheckReport& report) {
  std::vector<std::vector<std::string>> rows = {
      {"parameter", "fisher error", "gradient error", "differences", "kinks skipped", "verdict"}};
  for (const TensorCheck& tensor : report.tensors)
    rows.push_back({tensor.name, number(tensor.fisher_error), number(tensor.gradient_error),
                    std::to_string(tensor.differences), std::to_string(tensor.kinks),
                    verdict(tensor.passed ? "pass" : "FAIL", tensor.passed)});
  std::string text = table(rows) + "\n" + verdict(report.passed ? "passed" : "FAILED", report.passed) + ": " +
                     options.estimator.estimator + " on " + std::to_string(report.samples) + " samples";
  if (report.samples_at_corners)
    text += " (" + std::to_string(report.samples_at_corners) +
            " more left out: at the corner of a ReLU or max pooling)";
  return text + "\nfisher error: against a float64 reference, at most " + number(kFisherTolerance) +
         "; gradient error: against finite differences, at most " + number(kGradientTolerance) + "\n";
}

Json to_json(const ReplayReport& report, const std::string& reference) {
  Json json = Json::object();
  json["passed"] = report.passed;
  json["reference"] = reference;
  json["samples"] = report.samples;
  json["tolerance"] = kReplayTolerance;
  const ReplayLayer* first = report.first_difference();
  json["first_difference"] = first ? Json(first->name) : Json(nullptr);
  json["layers"] = Json::array();
  for (const ReplayLayer& layer : report.layers)
    json["layers"].push_back({{"name", layer.name}, {"error", layer.error}, {"passed", layer.passed}});
  json["version"] = version();
  return json;
}

std::string to_text(const ReplayReport& report, const std::string& reference) {
  std::vector<std::vector<std::string>> rows = {{"layer", "error", "verdict"}};
  for (const ReplayLayer& layer : report.layers)
    rows.push_back({layer.name, number(layer.error), verdict(layer.passed ? "pass" : "FAIL", layer.passed)});
  std::string text = table(rows) + "\n" + verdict(report.passed ? "passed" : "FAILED", report.passed) + ": " +
                     std::to_string(report.samples) + " samples of " + reference;
  if (const ReplayLayer* first = report.first_difference())
    text += "; the first layer that differs is '" + first->name + "'";
  return text + "\nerror: of the layer's outputs against the reference, at most " + number(kReplayTolerance) +
         "\n";
}

int replay(const CheckVerbOptions& options) {
  const Network network = load_network(options.model);
  const std::string reference = options.reference == kBesideWeights
                                    ? reference_path(options.model.weights).string()
                                    : options.reference;
  const ReplayReport report = replay_reference(network, reference);
  if (options.common.json)
    print_json(to_json(report, reference));
  else
    print(to_text(report, reference));
  return report.passed ? kDone : kCheckFailed;
}

int check(const CheckVerbOptions& options) {
  if (!options.reference.empty()) return replay(options);
  if (options.model.data.empty()) throw UsageError("check needs --data, or --replay");
  const Context context = make_context(options.common);
  const Network network = load_network(options.model);
  const std::unique_ptr<Dataset> data =
      open_data(options.model.data, options.model.labels, network.architecture());
  if (!options.common.quiet)
    print_note(network.architecture().summary() + ", " + describe(context, options.common));
  CheckOptions request;
  request.estimator = options.estimator.parsed();
  request.likelihood = options.model.parsed_likelihood();
  request.samples = options.samples;
  CheckReport report;
  with_data_named(options.model.data, options.model.labels, [&] {
    Progress progress("checking", "steps", options.common.quiet);
    request.progress = [&](std::size_t done, std::size_t total) { return progress.update(done, total); };
    report = check_fisher(network, *data, request, context);
  });
  if (options.common.json)
    print_json(to_json(options, report, context));
  else
    print(to_text(options, report));
  return report.passed ? kDone : kCheckFailed;
}

}  // namespace

Run add_check(CLI::App& verb) {
  const auto options = std::make_shared<CheckVerbOptions>();
  verb.footer(
      "  fisherdiag check --weights W.safetensors --data fashion-mnist:test\n"
      "  fisherdiag check --arch mlp:784-256-10:tanh --weights W.safetensors --data X.npy --labels Y.npy \\\n"
      "      --estimator exact --samples 32\n"
      "  fisherdiag check --weights model.safetensors --replay");
  add_model_options(verb, options->model);
  verb.get_option("--data")->required(false);
  verb.add_flag(
          "--replay{" + std::string(kBesideWeights) + "}", options->reference,
          "Instead: compute the reference outputs that scripts/export_torch.py left beside the weights, and "
          "name the first layer that differs; --replay=FILE for a reference file elsewhere")
      ->type_name("[=FILE]");
  add_estimator_options(verb, options->estimator);
  verb.add_option("--samples", options->samples, "Samples to check, spread over the data")
      ->check(whole_number(1, kMostCount))
      ->type_name("N")
      ->capture_default_str();
  add_common_options(verb, options->common);
  return [options] { return check(*options); };
}

}  // namespace fisherdiag::cli
