// fisherdiag diff: how far two Fisher files differ.
#include <array>
#include <cmath>
#include <map>

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/compare.hpp"

namespace fisherdiag::cli {

namespace {

struct DiffOptions {
  CommonOptions common;
  std::string first;
  std::string second;
  std::optional<double> fail_above;
  std::optional<double> lambda;
};

Json to_json(const Similarity& similarity) {
  return {{"trace_a", similarity.trace_a},         {"trace_b", similarity.trace_b},
          {"trace_ratio", similarity.trace_ratio}, {"cosine", similarity.cosine},
          {"spearman", similarity.spearman},       {"relative_error", similarity.relative_error},
          {"overlap", similarity.overlap}};
}

std::vector<std::string> to_row(const std::string& name, const Similarity& similarity) {
  return {name,
          number(similarity.trace_a),
          number(similarity.trace_b),
          number(similarity.trace_ratio),
          number(similarity.cosine),
          number(similarity.spearman),
          number(similarity.relative_error),
          number(similarity.overlap)};
}

/// Metadata entries that are not the same: {key, value of A, value of B}; "" where one has none.
std::vector<std::vector<std::string>> metadata_differences(const FisherMetadata& a, const FisherMetadata& b) {
  std::map<std::string, std::array<std::string, 2>> entries;
  for (const auto& [key, value] : a.to_strings()) entries[key][0] = value;
  for (const auto& [key, value] : b.to_strings()) entries[key][1] = value;
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, values] : entries)
    if (values[0] != values[1]) rows.push_back({key, values[0], values[1]});
  return rows;
}

/// Nothing if the metadata is the same.
std::string to_text(const std::vector<std::vector<std::string>>& differences) {
  if (differences.empty()) return {};
  std::vector<std::vector<std::string>> rows = {{"metadata", "A", "B"}};
  rows.insert(rows.end(), differences.begin(), differences.end());
  return "\n" + table(rows);
}

std::string to_text(const FisherComparison& comparison, const DiffOptions& options) {
  std::vector<std::vector<std::string>> rows = {
      {"parameter", "trace A", "trace B", "A / B", "cosine", "spearman", "relative error", "overlap"}};
  for (const TensorSimilarity& tensor : comparison.tensors)
    rows.push_back(to_row(tensor.name, tensor.similarity));
  rows.push_back(to_row("total", comparison.total));
  std::vector<std::vector<std::string>> quantiles = {{"quantile", "A", "B", "A / B"}};
  for (const QuantileRatio& quantile : comparison.quantiles)
    quantiles.push_back(
        {number(100 * quantile.level) + "%", number(quantile.a), number(quantile.b), number(quantile.ratio)});
  std::string text = table(rows) + "\n" + table(quantiles) + "\nB has the strength of A with " +
                     number(comparison.lambda_ratio) + " times A's lambda";
  if (options.lambda)
    text += ": " + number(*options.lambda * comparison.lambda_ratio) + " for " + number(*options.lambda);
  return text + "\n";
}

struct ComparedFiles {
  FisherComparison comparison;
  std::vector<std::vector<std::string>> differences;
};

ComparedFiles compare_files(const DiffOptions& options) {
  const FisherDiagonal first = FisherDiagonal::load(options.first);
  throw_if_interrupted();
  const FisherDiagonal second = FisherDiagonal::load(options.second);
  throw_if_interrupted();
  try {
    return {compare_fisher(first, second), metadata_differences(first.metadata(), second.metadata())};
  } catch (const DataError& error) {
    throw DataError(options.second + ": " + error.what() + " (compared with " + options.first + ")");
  }
}

int diff(const DiffOptions& options) {
  if (options.fail_above && !(*options.fail_above >= 0))
    throw UsageError("--fail-above must not be negative");
  if (options.lambda && !(*options.lambda >= 0 && std::isfinite(*options.lambda)))
    throw UsageError("--lambda must be a finite number that is not negative");
  const Context context = make_context(options.common);
  const auto [comparison, differences] = compare_files(options);
  throw_if_interrupted();
  // Written so that an undefined error fails too.
  const bool passed = !options.fail_above || comparison.total.relative_error <= *options.fail_above;
  if (options.common.json) {
    Json json = Json::object();
    json["a"] = options.first;
    json["b"] = options.second;
    json["layers"] = Json::array();
    for (const TensorSimilarity& tensor : comparison.tensors) {
      Json layer = {{"name", tensor.name}};
      layer.update(to_json(tensor.similarity));
      json["layers"].push_back(layer);
    }
    json["total"] = to_json(comparison.total);
    json["quantiles"] = Json::array();
    for (const QuantileRatio& quantile : comparison.quantiles)
      json["quantiles"].push_back(
          {{"level", quantile.level}, {"a", quantile.a}, {"b", quantile.b}, {"ratio", quantile.ratio}});
    json["lambda_ratio"] = comparison.lambda_ratio;
    if (options.lambda) {
      json["lambda_a"] = *options.lambda;
      json["lambda_b"] = *options.lambda * comparison.lambda_ratio;
    }
    json["metadata_differences"] = Json::object();
    for (const std::vector<std::string>& row : differences)
      json["metadata_differences"][row[0]] = {row[1], row[2]};
    if (options.fail_above) json["fail_above"] = *options.fail_above;
    json["passed"] = passed;
    json["threads"] = context.threads();
    json["version"] = version();
    print_json(json);
  } else {
    print(to_text(comparison, options) + to_text(differences));
  }
  if (!passed && !options.common.quiet)
    print_note("the relative error " + number(comparison.total.relative_error) + " is above " +
               number(*options.fail_above));
  return passed ? kDone : kCheckFailed;
}

}  // namespace

Run add_diff(CLI::App& verb) {
  const auto options = std::make_shared<DiffOptions>();
  verb.footer(
      "  fisherdiag diff F-exact.safetensors F-empirical.safetensors\n"
      "  fisherdiag diff F-exact.safetensors F-empirical.safetensors --lambda 1e5\n"
      "  fisherdiag diff F-new.safetensors F-old.safetensors --fail-above 1e-5");
  verb.add_option("a", options->first, "A Fisher file")->required()->type_name("FILE");
  verb.add_option("b", options->second, "Another of the same model; errors are relative to it")
      ->required()
      ->type_name("FILE");
  verb.add_option("--fail-above", options->fail_above,
                  "Exit with 1 if the total relative error |A - B| / |B| is larger")
      ->type_name("X");
  verb.add_option("--lambda", options->lambda, "An EWC lambda of A: also say what B needs to be as strong")
      ->type_name("L");
  add_common_options(verb, options->common);
  return [options] { return diff(*options); };
}

}  // namespace fisherdiag::cli
