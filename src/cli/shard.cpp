#include "cli/shard.hpp"

#include "cli/errors.hpp"
#include "cli/output.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/base/version.hpp"

namespace fisherdiag::cli {

ShardPlace parse_shard(const std::string& text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string index = text.substr(0, slash), count = text.substr(std::min(slash + 1, text.size()));
  const CLI::Validator whole = whole_number(1, kMostPerSample);
  if (!whole(std::string(index)).empty() || !whole(std::string(count)).empty() ||
      std::stoull(index) > std::stoull(count))
    throw UsageError("--shard '" + text + "' is not of the form i/n with i from 1 to n, as 2/4");
  return {std::stoull(index), std::stoull(count)};
}

int finish_shard(const ComputeOptions& options, const FisherShard& shard, const FisherStatistics& statistics,
                 const Context& context) {
  if (!options.output.empty()) shard.save(options.output);
  const FisherMetadata& metadata = shard.metadata;
  const auto samples = static_cast<double>(shard.samples);
  if (!options.common.json) {
    print("shard " + shard.place.text() + ", " + grouped(shard.samples) + " of " + grouped(metadata.samples) +
          " samples of " + metadata.data + "\ntime     " + duration(statistics.seconds) + " for the pass, " +
          duration(statistics.reading_seconds) + " reading\n" +
          (options.output.empty()
               ? "nothing written; -o FILE saves the shard\n"
               : "written  " + options.output + "; fisherdiag merge makes a diagonal of all shards\n"));
    return kDone;
  }
  Json json = Json::object();
  json["shard"] = shard.place.text();
  json["estimator"] = estimator_name(metadata.estimator.kind);
  json["samples"] = shard.samples;
  json["samples_of_all"] = metadata.samples;
  json["sections"] = shard.sections.size();
  json["parameters"] = shard.sections.empty() ? 0 : shard.sections.front().size();
  json["threads"] = context.threads();
  json["isa"] = metadata.isa;
  json["precision"] = precision_name(metadata.precision);
  json["seconds"] = statistics.seconds;
  json["reading_seconds"] = statistics.reading_seconds;
  json["samples_per_second"] = statistics.seconds > 0 ? samples / statistics.seconds : 0;
  json["flops"] = statistics.flops;
  json["peak_rss_bytes"] = peak_rss_bytes();
  json["sha256"] = shard.sha256();
  json["normalization"] = normalization_name(metadata.normalization);
  json["seed"] = metadata.estimator.seed;
  json["data"] = metadata.data;
  json["weights_sha256"] = metadata.weights_sha256;
  json["output"] = options.output.empty() ? Json(nullptr) : Json(options.output);
  json["version"] = version();
  print_json(json);
  return kDone;
}

}  // namespace fisherdiag::cli
