// fisherdiag info: what is in a safetensors file.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag::cli {

namespace {

struct InfoOptions {
  CommonOptions common;
  std::string file;
  std::size_t top = 5;
};

/// One value and where it is.
struct LargeValue {
  std::string tensor;
  std::vector<std::size_t> index;
  float value;
};

struct QuantileName {
  const char* key;
  double level;
};

constexpr std::array<QuantileName, 5> kQuantiles = {
    {{"min", 0.0}, {"q50", 0.5}, {"q90", 0.9}, {"q99", 0.99}, {"max", 1.0}}};
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// Figures of one tensor's finite values; NaN where it has none.
struct TensorSummary {
  std::array<double, kQuantiles.size()> quantiles{};
  double trace = 0;
  std::size_t not_finite = 0;
  bool is_float = false;
};

/// The smallest value that at least `level` of the sorted-as-needed values do not exceed.
double quantile(std::vector<float>& values, double level) {
  if (values.empty()) return kUnknown;
  const double place = std::ceil(level * static_cast<double>(values.size()));
  const std::size_t index = place > 0 ? static_cast<std::size_t>(place) - 1 : 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(index), values.end());
  return values[index];
}

bool is_floating(const TensorEntry& tensor) {
  return tensor.dtype == "F64" || tensor.dtype == "F32" || tensor.dtype == "F16" || tensor.dtype == "BF16";
}

/// Row-major place of element `i`.
std::vector<std::size_t> index_of(std::size_t i, const std::vector<std::size_t>& shape) {
  std::vector<std::size_t> index(shape.size());
  for (std::size_t d = shape.size(); d-- > 0; i /= shape[d]) index[d] = i % shape[d];
  return index;
}

/// Puts this tensor's values among the `most` largest of all, largest first, earlier ones first among equals.
void keep_largest(std::vector<LargeValue>& largest, std::size_t most, const TensorEntry& tensor,
                  const std::vector<float>& values) {
  const auto before = [](const LargeValue& a, const LargeValue& b) { return a.value > b.value; };
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || most == 0) continue;
    if (largest.size() == most && values[i] <= largest.back().value) continue;
    const LargeValue found{tensor.name, index_of(i, tensor.shape), values[i]};
    largest.insert(std::upper_bound(largest.begin(), largest.end(), found, before), found);
    if (largest.size() > most) largest.pop_back();
  }
}

TensorSummary summarize(const SafetensorsFile& file, const TensorEntry& tensor,
                        std::vector<LargeValue>& largest, std::size_t most) {
  TensorSummary summary;
  summary.quantiles.fill(kUnknown);
  summary.trace = kUnknown;
  summary.is_float = is_floating(tensor);
  if (!summary.is_float) return summary;
  std::vector<float> values(tensor.elements);
  file.read(tensor, values);
  keep_largest(largest, most, tensor, values);
  std::erase_if(values, [](float value) { return !std::isfinite(value); });
  summary.not_finite = tensor.elements - values.size();
  summary.trace = 0;
  for (const float value : values) summary.trace += value;
  for (std::size_t q = 0; q < kQuantiles.size(); ++q)
    summary.quantiles[q] = quantile(values, kQuantiles[q].level);
  return summary;
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

Json to_json(const TensorEntry& tensor, const TensorSummary& summary) {
  Json json = Json::object();
  json["name"] = tensor.name;
  json["dtype"] = tensor.dtype;
  json["shape"] = tensor.shape;
  json["elements"] = tensor.elements;
  for (std::size_t q = 0; q < kQuantiles.size(); ++q) json[kQuantiles[q].key] = summary.quantiles[q];
  json["trace"] = summary.trace;
  json["not_finite"] = summary.not_finite;
  return json;
}

std::vector<std::string> to_row(const TensorEntry& tensor, const TensorSummary& summary) {
  std::vector<std::string> row = {tensor.name, tensor.dtype, shape_text(tensor.shape)};
  for (const double value : summary.quantiles) row.push_back(number(value));
  row.push_back(number(summary.trace));
  if (summary.not_finite) row.push_back(std::to_string(summary.not_finite) + " not finite");
  return row;
}

Json to_json(const std::vector<LargeValue>& largest) {
  Json json = Json::array();
  for (const LargeValue& entry : largest)
    json.push_back({{"tensor", entry.tensor}, {"index", entry.index}, {"value", entry.value}});
  return json;
}

std::string to_text(const std::vector<LargeValue>& largest) {
  std::vector<std::vector<std::string>> rows = {{"largest", "at", "value"}};
  for (const LargeValue& entry : largest)
    rows.push_back({entry.tensor, shape_text(entry.index), number(static_cast<double>(entry.value))});
  return largest.empty() ? "" : table(rows) + "\n";
}

int info(const InfoOptions& options) {
  const Context context = make_context(options.common);
  const SafetensorsFile file(options.file);
  Json json = Json::object();
  json["file"] = options.file;
  json["tensors"] = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"tensor", "dtype", "shape", "min", "50%", "90%", "99%", "max", "sum"}};
  std::size_t elements = 0;
  double trace = 0;
  std::vector<LargeValue> largest;
  for (const TensorEntry& tensor : file.tensors()) {
    const TensorSummary summary = summarize(file, tensor, largest, options.top);
    throw_if_interrupted();
    json["tensors"].push_back(to_json(tensor, summary));
    rows.push_back(to_row(tensor, summary));
    elements += tensor.elements;
    if (summary.is_float) trace += summary.trace;
  }
  json["parameters"] = elements;
  json["trace"] = trace;
  json["largest"] = to_json(largest);
  json["metadata"] = Json::object();
  std::vector<std::vector<std::string>> metadata;
  for (const auto& [key, value] : file.metadata()) {
    json["metadata"][key] = value;
    metadata.push_back({"  " + key + "  " + value});
  }
  json["threads"] = context.threads();
  json["version"] = version();
  if (options.common.json)
    print_json(json);
  else
    print(table(rows) + "\n" + to_text(largest) + grouped(elements) + " values, trace " + number(trace) +
          "\n" + (metadata.empty() ? "no metadata\n" : "metadata\n" + table(metadata)));
  return kDone;
}

}  // namespace

Run add_info(CLI::App& verb) {
  const auto options = std::make_shared<InfoOptions>();
  verb.footer(
      "  fisherdiag info F.safetensors\n"
      "  fisherdiag info F.safetensors --top 20\n"
      "  fisherdiag info W.safetensors --json");
  verb.add_option("file", options->file, "A safetensors file: weights or a Fisher diagonal")
      ->required()
      ->type_name("FILE");
  verb.add_option("--top", options->top, "Values shown of the largest")
      ->check(whole_number(0, kMostPerSample))
      ->type_name("N")
      ->capture_default_str();
  add_common_options(verb, options->common);
  return [options] { return info(*options); };
}

}  // namespace fisherdiag::cli
