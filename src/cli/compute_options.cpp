#include "cli/compute_options.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cli/errors.hpp"

namespace fisherdiag::cli {

namespace {

CLI::Validator positive_number() {
  const auto validate = [](const std::string& text) -> std::string {
    double value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && stop == text.data() + text.size() && value > 0 && std::isfinite(value))
      return {};
    return "'" + text + "' is not a positive number";
  };
  return CLI::Validator(validate, "");
}

/// "uniform:500", "importance:500"; without a number if `open`.
Subset parse_subset(const std::string& text, bool open) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::optional<SubsetKind> kind = subset_from_name(text.substr(0, colon));
  if (!kind || *kind == SubsetKind::All)
    throw UsageError("--subset '" + text + "' is neither uniform:N nor importance:N");
  if (colon == text.size()) {
    if (!open)
      throw UsageError("--subset " + text + " needs a number of samples, as in " + text + ":500, or --until");
    return {*kind, std::nullopt};
  }
  const std::string figure = text.substr(colon + 1);
  const std::string complaint = whole_number(1, kMostCount)(figure);
  if (!complaint.empty()) throw UsageError("--subset " + text + ": " + complaint);
  return {*kind, std::stoull(figure)};
}

void add_checkpoint_options(CLI::App& verb, ComputeOptions& options) {
  CLI::Option* const checkpoint =
      verb.add_option(
              "--checkpoint", options.checkpoint,
              "Save the work done so far here, at Ctrl-C and termination too; --resume goes on from it")
          ->type_name("FILE");
  verb.add_option("--checkpoint-every", options.checkpoint_every, "Time between checkpoints: 30s, 10min, 1h")
      ->type_name("TIME")
      ->needs(checkpoint)
      ->capture_default_str();
  verb.add_flag("--resume", options.resume,
                "Go on from the checkpoint, if there is one, to the same bits as without an interruption")
      ->needs(checkpoint);
}

CheckpointRequest checkpoint_request(const ComputeOptions& options) {
  return {options.checkpoint, parse_seconds(options.checkpoint_every), options.resume};
}

}  // namespace

void add_compute_options(CLI::App& verb, ComputeOptions& options) {
  add_model_options(verb, options.model);
  add_estimator_options(verb, options.estimator);
  verb.add_option(
          "--likelihood-unit", options.likelihood_unit,
          "Where there is an output at each position of a sequence: sequence (the labels' "
          "log-likelihoods are summed, one gradient for each sequence) or token (one for each position)")
      ->check(one_of({"sequence", "token"}))
      ->type_name("UNIT")
      ->capture_default_str();
  verb.add_option("--normalize", options.normalization, "mean (divide by the number of samples) or sum")
      ->check(one_of({"mean", "sum"}))
      ->type_name("HOW")
      ->capture_default_str();
  CLI::Option* const most =
      verb.add_option("--max-samples", options.max_samples, "Use a random subset of this many samples")
          ->check(whole_number(1, kMostCount))
          ->type_name("N");
  verb.add_option(
          "--subset", options.subset,
          "uniform:N, the same as --max-samples, or importance:N: N samples, those with large gradients "
          "likelier and weighted down; with --until, N is the most that are taken and may be left out")
      ->type_name("HOW:N")
      ->excludes(most);
  verb.add_option("--until", options.until,
                  "Take random samples until the relative standard error of the trace is this small, as 1e-2")
      ->check(positive_number())
      ->type_name("ERROR");
  CLI::Option* const subset = verb.get_option("--subset");
  verb.add_option("--shard", options.shard,
                  "i/n: only the i-th of n parts of the samples; merge makes of all n the bits of one run")
      ->type_name("I/N")
      ->excludes(most)
      ->excludes(subset)
      ->excludes(verb.get_option("--until"));
  add_checkpoint_options(verb, options);
  verb.add_flag("--force", options.force, "Compute exact however many outputs there are");
  verb.add_flag("--standard-error", options.standard_error,
                "Write the standard error of every value over samples too, as NAME.standard_error")
      ->excludes(verb.get_option("--checkpoint"))
      ->excludes(verb.get_option("--shard"));
  verb.add_option("--max-memory", options.max_memory, "Bound on the resident memory: 2GiB, 500MB")
      ->type_name("SIZE");
  verb.add_option(
          "--precision", options.precision,
          "Operands of matrix products: float32, or bf16 (AVX512_BF16 or AMX; faster, error about 2e-3)")
      ->check(one_of({"float32", "bf16"}))
      ->type_name("TYPE")
      ->capture_default_str();
  verb.add_option(
          "--zeros", options.zeros,
          "skip: leave products with zeros out where there are enough of them; multiply: do them all. "
          "The result is the same")
      ->check(one_of({"skip", "multiply"}))
      ->type_name("HOW")
      ->capture_default_str();
  verb.add_option("-o,--output", options.output,
                  "Write the diagonal here: a safetensors file, keys as the weights")
      ->type_name("FILE");
  verb.add_flag("--profile", options.profile, "Say on stderr (with --json: in it) where the time went");
  verb.add_option("--trace", options.trace, "Write a timeline here, for Perfetto or chrome://tracing")
      ->type_name("FILE");
}

FisherOptions fisher_options(const ComputeOptions& options) {
  FisherOptions result;
  result.estimator = options.estimator.parsed();
  result.estimator.unit = *likelihood_unit_from_name(options.likelihood_unit);
  result.likelihood = options.model.parsed_likelihood();
  result.normalization = options.normalization == "sum" ? Normalization::Sum : Normalization::Mean;
  result.precision = options.precision == "bf16" ? Precision::Bf16 : Precision::Float32;
  result.skip_zeros = options.zeros == "skip";
  result.max_samples = options.max_samples;
  result.force = options.force;
  if (!options.subset.empty()) result.subset = parse_subset(options.subset, options.until.has_value());
  result.until = options.until;
  result.standard_error = options.standard_error;
  if (options.standard_error && result.estimator.kind == EstimatorKind::Batched)
    throw UsageError(
        "--standard-error needs an estimator that squares each sample's gradient, which batched does not");
  if (options.standard_error && result.subset.kind == SubsetKind::Importance)
    throw UsageError(
        "--standard-error needs samples drawn alike, which those of --subset importance are not");
  if (options.standard_error && result.precision == Precision::Bf16)
    throw UsageError("--standard-error needs --precision float32");
  if (result.estimator.kind == EstimatorKind::Batched &&
      (options.until || result.subset.kind == SubsetKind::Importance))
    throw UsageError(std::string(options.until ? "--until" : "--subset importance") +
                     " needs an estimator that squares each sample's gradient, which batched does not");
  if (!options.checkpoint.empty()) {
    if (result.subset.kind == SubsetKind::Importance)
      throw UsageError("--checkpoint cannot save an importance subset; use a uniform one");
    result.checkpoint = checkpoint_request(options);
  }
  if (!options.max_memory.empty()) result.max_memory_bytes = parse_bytes(options.max_memory);
  return result;
}

std::vector<std::string> input_files(const ModelOptions& model) {
  std::vector<std::string> files = {model.arch, model.weights};
  for (const std::string& file : dataset_files(model.data)) files.push_back(file);
  if (model.labels)
    for (const std::string& file : dataset_files(*model.labels)) files.push_back(file);
  return files;
}

}  // namespace fisherdiag::cli
