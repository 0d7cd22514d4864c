// fisherdiag compute: the Fisher diagonal of a network on a dataset.
#include "fisherdiag/fisher/compute.hpp"

#include <filesystem>
#include <optional>
#include <string>

#include "cli/compute_options.hpp"
#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/profile.hpp"
#include "cli/progress.hpp"
#include "cli/sampling.hpp"
#include "cli/shard.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/standard_error.hpp"

namespace fisherdiag::cli {

namespace {

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
  Json json = Json::object();
  json["estimator"] = estimator_name(estimator.kind);
  json["samples"] = metadata.samples;
  json["parameters"] = fisher.values().size();
  json["threads"] = context.threads();
  json["isa"] = metadata.isa;
  json["precision"] = precision_name(metadata.precision);
  json["precision_unit"] = metadata.precision_unit.empty() ? Json(nullptr) : Json(metadata.precision_unit);
  json["rounding_error"] = rounding_error(metadata.precision);
  json["seconds"] = statistics.seconds;
  json["reading_seconds"] = statistics.reading_seconds;
  json["samples_per_second"] = per_second(static_cast<double>(metadata.samples), statistics.seconds);
  json["flops"] = statistics.flops;
  json["flops_per_second"] = per_second(statistics.flops, statistics.seconds);
  json["peak_rss_bytes"] = peak_rss_bytes();
  json["sha256"] = fisher.sha256();
  json["trace"] = fisher.trace();
  json["likelihood"] = likelihood_name(metadata.likelihood);
  if (metadata.positions > 1) json["likelihood_unit"] = likelihood_unit_name(estimator.unit);
  json["normalization"] = normalization_name(metadata.normalization);
  json["draws"] = has_draws(estimator) ? Json(estimator.draws) : Json(nullptr);
  json["seed"] = estimator.seed;
  if (estimator.kind == EstimatorKind::Batched) json["batch_size"] = estimator.batch_size;
  add_sampling(json, fisher);
  if (!fisher.standard_errors().empty())
    json["median_relative_standard_error"] = median_relative_error(fisher.values(), fisher.standard_errors());
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
  std::string text =
      std::string(estimator_name(metadata.estimator.kind)) + " Fisher diagonal" +
      (metadata.positions > 1 && metadata.estimator.unit == LikelihoodUnit::Token ? " of tokens, " : ", ") +
      std::string(normalization_name(metadata.normalization)) + " over " + grouped(metadata.samples) +
      " samples of " + metadata.data + ", " + grouped(fisher.values().size()) + " parameters\n";
  text += "trace    " + number(fisher.trace()) + sampling_text(fisher) + "\n";
  if (!fisher.standard_errors().empty())
    text += "error    " + number(100 * median_relative_error(fisher.values(), fisher.standard_errors())) +
            "% of a value, the median standard error over samples\n";
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

/// Outputs are looked at before any work.
void check_outputs(const ComputeOptions& options) {
  std::vector<std::string> files = input_files(options.model);
  if (!options.output.empty()) check_output(options.output, files);
  if (!options.checkpoint.empty()) {
    if (std::filesystem::weakly_canonical(options.checkpoint) ==
        std::filesystem::weakly_canonical(options.output))
      throw UsageError(options.checkpoint + " is both --output and --checkpoint");
    check_output(options.checkpoint, files);
  }
  if (options.trace.empty()) return;
  if (std::filesystem::weakly_canonical(options.trace) == std::filesystem::weakly_canonical(options.output))
    throw UsageError(options.trace + " is both --output and --trace");
  check_output(options.trace, files);
}

Network load_profiled(const ModelOptions& model, PassTrack* track) {
  const PassTimer timer(track, PassPhase::Load);
  return load_network(model);
}

void save_profiled(const FisherDiagonal& fisher, const std::string& output, PassTrack* track) {
  const PassTimer timer(track, PassPhase::Write);
  fisher.save(output);
}

int compute(const ComputeOptions& options) {
  FisherOptions fisher_request = fisher_options(options);
  std::optional<ShardPlace> place;
  if (!options.shard.empty()) place = parse_shard(options.shard);
  Profiling profiling(options);
  const Context context = make_context(options.common);
  check_outputs(options);
  profiling.start(context);
  const Network network = load_profiled(options.model, profiling.track());
  const std::unique_ptr<Dataset> data =
      open_data(options.model.data, options.model.labels, network.architecture());
  if (!options.common.quiet)
    print_note(network.architecture().summary() + ", " + grouped(data->size()) + " samples, " +
               describe(context, options.common));

  FisherStatistics statistics;
  std::optional<FisherDiagonal> fisher;
  std::optional<FisherShard> shard;
  fisher_request.profile = profiling.profile();
  fisher_request.memory_in_use = resident_bytes() + touched_memory(context);
  fisher_request.stop = [] { return caught_signal() != 0; };
  with_data_named(options.model.data, options.model.labels, [&] {
    Progress progress("computing", "samples", options.common.quiet);
    fisher_request.progress = [&](std::size_t done, std::size_t total) {
      return progress.update(done, total);
    };
    if (place)
      shard = compute_fisher_shard(network, *data, fisher_request, *place, context, &statistics);
    else
      fisher = compute_fisher(network, *data, fisher_request, context, &statistics);
  });
  throw_if_interrupted();
  if (shard) return finish_shard(options, *shard, statistics, context);
  if (!options.output.empty()) save_profiled(*fisher, options.output, profiling.track());
  profiling.finish(network.architecture());
  if (options.common.json) {
    Json json = to_json(options, *fisher, statistics, context);
    if (options.profile) json["profile"] = profiling.to_json(network.architecture());
    print_json(json);
    return kDone;
  }
  if (options.profile && !options.common.quiet) print_lines(profiling.to_text(network.architecture()));
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
      "  fisherdiag compute --weights W.safetensors --data X.npy --estimator mc --mc-samples 8 --json\n"
      "  fisherdiag compute --weights W.safetensors --data X.npy --checkpoint F.ckpt --resume -o "
      "F.safetensors");
  add_compute_options(verb, *options);
  add_common_options(verb, options->common);
  return [options] { return compute(*options); };
}

}  // namespace fisherdiag::cli
