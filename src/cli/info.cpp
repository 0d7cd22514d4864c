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

TensorSummary summarize(const SafetensorsFile& file, const TensorEntry& tensor) {
  TensorSummary summary;
  summary.quantiles.fill(kUnknown);
  summary.trace = kUnknown;
  summary.is_float = is_floating(tensor);
  if (!summary.is_float) return summary;
  std::vector<float> values(tensor.elements);
  file.read(tensor, values);
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
  Json json;
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

int info(const InfoOptions& options) {
  const Context context = make_context(options.common);
  const SafetensorsFile file(options.file);
  Json json;
  json["file"] = options.file;
  json["tensors"] = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"tensor", "dtype", "shape", "min", "50%", "90%", "99%", "max", "sum"}};
  std::size_t elements = 0;
  double trace = 0;
  for (const TensorEntry& tensor : file.tensors()) {
    const TensorSummary summary = summarize(file, tensor);
    throw_if_interrupted();
    json["tensors"].push_back(to_json(tensor, summary));
    rows.push_back(to_row(tensor, summary));
    elements += tensor.elements;
    if (summary.is_float) trace += summary.trace;
  }
  json["parameters"] = elements;
  json["trace"] = trace;
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
    print(table(rows) + "\n" + grouped(elements) + " values, trace " + number(trace) + "\n" +
          (metadata.empty() ? "no metadata\n" : "metadata\n" + table(metadata)));
  return kDone;
}

}  // namespace

Run add_info(CLI::App& verb) {
  const auto options = std::make_shared<InfoOptions>();
  verb.footer(
      "  fisherdiag info F.safetensors\n"
      "  fisherdiag info W.safetensors --json");
  verb.add_option("file", options->file, "A safetensors file: weights or a Fisher diagonal")
      ->required()
      ->type_name("FILE");
  add_common_options(verb, options->common);
  return [options] { return info(*options); };
}

}  // namespace fisherdiag::cli
