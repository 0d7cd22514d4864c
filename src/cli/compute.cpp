// fisherdiag compute: the Fisher diagonal of a network on a dataset.
#include "fisherdiag/fisher/compute.hpp"

#include <optional>
#include <string>

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/base/version.hpp"

namespace fisherdiag::cli {

namespace {

struct ComputeOptions {
  CommonOptions common;
  ModelOptions model;
  EstimatorOptions estimator;
  std::string normalization = "mean";
  std::optional<std::size_t> max_samples;
  std::string max_memory;
  std::string output;
};

FisherOptions fisher_options(const ComputeOptions& options) {
  FisherOptions result;
  result.estimator = options.estimator.parsed();
  result.likelihood = options.model.parsed_likelihood();
  result.normalization = options.normalization == "sum" ? Normalization::Sum : Normalization::Mean;
  result.max_samples = options.max_samples;
  if (!options.max_memory.empty()) result.max_memory_bytes = parse_bytes(options.max_memory);
  return result;
}

bool has_draws(const Estimator& estimator) {
  return estimator.kind == EstimatorKind::MonteCarlo || estimator.kind == EstimatorKind::Sketch;
}

double per_second(double amount, double seconds) {
  return seconds > 0 ? amount / seconds : 0;
}

Json to_json(const ComputeOptions& options, const FisherDiagonal& fisher, const FisherStatistics& statistics,
             const Context& context) {
  const FisherMetadata& metadata = fisher.metadata();
  const Estimator& estimator = metadata.estimator;
  Json json;
  json["estimator"] = estimator_name(estimator.kind);
  json["samples"] = metadata.samples;
  json["parameters"] = fisher.values().size();
  json["threads"] = context.threads();
  json["isa"] = metadata.isa;
  json["seconds"] = statistics.seconds;
  json["reading_seconds"] = statistics.reading_seconds;
  json["samples_per_second"] = per_second(static_cast<double>(metadata.samples), statistics.seconds);
  json["flops"] = statistics.flops;
  json["flops_per_second"] = per_second(statistics.flops, statistics.seconds);
  json["peak_rss_bytes"] = peak_rss_bytes();
  json["sha256"] = fisher.sha256();
  json["trace"] = fisher.trace();
  json["likelihood"] = likelihood_name(metadata.likelihood);
  json["normalization"] = normalization_name(metadata.normalization);
  json["draws"] = has_draws(estimator) ? Json(estimator.draws) : Json(nullptr);
  json["seed"] = estimator.seed;
  if (estimator.kind == EstimatorKind::Batched) json["batch_size"] = estimator.batch_size;
  json["data"] = metadata.data;
  json["weights_sha256"] = metadata.weights_sha256;
  json["output"] = options.output.empty() ? Json(nullptr) : Json(options.output);
  json["version"] = version();
  return json;
}

std::string to_text(const ComputeOptions& options, const FisherDiagonal& fisher,
                    const FisherStatistics& statistics) {
  const FisherMetadata& metadata = fisher.metadata();
  const double samples = static_cast<double>(metadata.samples);
  std::string text = std::string(estimator_name(metadata.estimator.kind)) + " Fisher diagonal, " +
                     std::string(normalization_name(metadata.normalization)) + " over " +
                     grouped(metadata.samples) + " samples of " + metadata.data + ", " +
                     grouped(fisher.values().size()) + " parameters\n";
  text += "trace    " + number(fisher.trace()) + "\n";
  text += "time     " + duration(statistics.seconds) + " for the pass, " +
          duration(statistics.reading_seconds) + " reading\n";
  text += "speed    " + si(per_second(samples, statistics.seconds), "samples/s") + ", " +
          si(per_second(statistics.flops, statistics.seconds), "flop/s") + "\n";
  text += "memory   " + binary_size(static_cast<double>(peak_rss_bytes())) + " at most\n";
  text += "sha256   " + fisher.sha256() + "\n";
  text += options.output.empty() ? "nothing written; -o FILE saves the diagonal\n"
                                 : "written  " + options.output + "\n";
  return text;
}

std::vector<std::string> inputs(const ModelOptions& model) {
  std::vector<std::string> files = {model.arch, model.weights, model.data};
  if (model.labels) files.push_back(*model.labels);
  return files;
}

int compute(const ComputeOptions& options) {
  FisherOptions fisher_request = fisher_options(options);
  const Context context = make_context(options.common);
  if (!options.output.empty()) check_output(options.output, inputs(options.model));
  const Network network = load_network(options.model);
  const std::unique_ptr<Dataset> data =
      open_data(options.model.data, options.model.labels, network.architecture());
  if (!options.common.quiet)
    print_note(network.architecture().summary() + ", " + grouped(data->size()) + " samples, " +
               describe(context, options.common));

  FisherStatistics statistics;
  std::optional<FisherDiagonal> fisher;
  with_data_named(options.model.data, options.model.labels, [&] {
    Progress progress("computing", "samples", options.common.quiet);
    fisher_request.progress = [&](std::size_t done, std::size_t total) {
      return progress.update(done, total);
    };
    fisher = compute_fisher(network, *data, fisher_request, context, &statistics);
  });
  throw_if_interrupted();
  if (!options.output.empty()) fisher->save(options.output);
  if (options.common.json)
    print_json(to_json(options, *fisher, statistics, context));
  else
    print(to_text(options, *fisher, statistics));
  return kDone;
}

}  // namespace

Run add_compute(CLI::App& verb) {
  const auto options = std::make_shared<ComputeOptions>();
  verb.footer(
      "  fisherdiag compute --weights W.safetensors --data fashion-mnist:train -o F.safetensors\n"
      "  fisherdiag compute --arch mlp:784-256-10 --weights W.safetensors --data X.npy --labels Y.npy \\\n"
      "      --estimator exact -o F.safetensors\n"
      "  fisherdiag compute --weights W.safetensors --data X.npy --estimator mc --mc-samples 8 --json");
  add_model_options(verb, options->model);
  add_estimator_options(verb, options->estimator);
  verb.add_option("--normalize", options->normalization, "mean (divide by the number of samples) or sum")
      ->check(one_of({"mean", "sum"}))
      ->type_name("HOW")
      ->capture_default_str();
  verb.add_option("--max-samples", options->max_samples, "Use a random subset of this many samples")
      ->check(whole_number(1, kMostCount))
      ->type_name("N");
  verb.add_option("--max-memory", options->max_memory, "Bound on the pass's memory: 2GiB, 500MB")
      ->type_name("SIZE");
  verb.add_option("-o,--output", options->output,
                  "Write the diagonal here: a safetensors file, keys as the weights")
      ->type_name("FILE");
  add_common_options(verb, options->common);
  return [options] { return compute(*options); };
}

}  // namespace fisherdiag::cli
