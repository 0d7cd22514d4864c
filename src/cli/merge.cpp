// fisherdiag merge: one Fisher file out of several.
#include "fisherdiag/fisher/merge.hpp"

#include <algorithm>

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/shard.hpp"

namespace fisherdiag::cli {

namespace {

struct MergeVerbOptions {
  CommonOptions common;
  std::vector<std::string> files;
  std::optional<double> decay;
  bool force = false;
  std::string output;
};

FisherDiagonal merge_files(const MergeVerbOptions& options) {
  if (std::ranges::any_of(options.files, [](const std::string& path) { return is_shard_file(path); })) {
    if (options.decay) throw UsageError("--decay is for the tasks of online EWC, not for shards");
    return merge_shards({options.files.begin(), options.files.end()}, throw_if_interrupted);
  }
  FisherMerger merger({options.decay, options.force});
  for (const std::string& path : options.files) {
    const FisherDiagonal part = FisherDiagonal::load(path);
    throw_if_interrupted();
    try {
      merger.add(part);
    } catch (const DataError& error) {
      throw DataError(path + ": " + error.what());
    }
  }
  return merger.finish();
}

int merge(const MergeVerbOptions& options) {
  if (options.decay && !(*options.decay > 0 && *options.decay <= 1))
    throw UsageError("--decay must be above 0 and at most 1");
  const Context context = make_context(options.common);
  check_output(options.output, options.files);
  const FisherDiagonal merged = merge_files(options);
  throw_if_interrupted();
  merged.save(options.output);
  const FisherMetadata& metadata = merged.metadata();
  if (!options.common.json) {
    print("merged " + std::to_string(options.files.size()) + " diagonals of " +
          grouped(merged.values().size()) + " parameters over " + grouped(metadata.samples) +
          " samples, trace " + number(merged.trace()) + "\nwritten " + options.output + "\n");
    return kDone;
  }
  Json json = Json::object();
  json["files"] = options.files;
  json["estimator"] = estimator_name(metadata.estimator.kind);
  json["likelihood"] = likelihood_name(metadata.likelihood);
  json["normalization"] = normalization_name(metadata.normalization);
  json["samples"] = metadata.samples;
  json["decay"] = options.decay ? Json(*options.decay) : Json(nullptr);
  json["parameters"] = merged.values().size();
  json["trace"] = merged.trace();
  json["sha256"] = merged.sha256();
  json["weights_sha256"] = metadata.weights_sha256;
  json["output"] = options.output;
  json["threads"] = context.threads();
  json["version"] = version();
  print_json(json);
  return kDone;
}

}  // namespace

Run add_merge(CLI::App& verb) {
  const auto options = std::make_shared<MergeVerbOptions>();
  verb.footer(
      "  fisherdiag merge F-part1.safetensors F-part2.safetensors -o F.safetensors\n"
      "  fisherdiag merge shard-*.safetensors -o F.safetensors\n"
      "  fisherdiag merge F-task1.safetensors F-task2.safetensors --decay 0.9 -o F-online.safetensors");
  verb.add_option("files", options->files, "Fisher files, or all shards of one computation")
      ->required()
      ->type_name("FILE");
  verb.add_option("--decay", options->decay, "Online EWC: F <- G * F_old + F_new in the order given")
      ->type_name("G");
  verb.add_flag("--force", options->force, "Also where estimator, likelihood or weights differ");
  verb.add_option("-o,--output", options->output, "Write the result here")->required()->type_name("FILE");
  add_common_options(verb, options->common);
  return [options] { return merge(*options); };
}

}  // namespace fisherdiag::cli
