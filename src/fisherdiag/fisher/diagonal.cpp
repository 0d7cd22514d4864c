#include "fisherdiag/fisher/diagonal.hpp"

#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "fisherdiag/base/digest.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag {

namespace {

using Strings = std::map<std::string, std::string>;

constexpr const char* kErrorKey = "standard_error";
constexpr const char* kErrorSuffix = ".standard_error";

[[noreturn]] void throw_malformed(const std::string& key, const std::string& text) {
  throw DataError("metadata entry '" + key + "' has the unknown value '" + text + "'");
}

const std::string* find(const Strings& strings, const std::string& key) {
  const auto entry = strings.find(key);
  return entry == strings.end() ? nullptr : &entry->second;
}

template <class Integer>
void read_integer(const Strings& strings, const std::string& key, Integer& value) {
  const std::string* text = find(strings, key);
  if (!text) return;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc{} || stop != end) throw_malformed(key, *text);
}

void read_text(const Strings& strings, const std::string& key, std::string& value) {
  if (const std::string* text = find(strings, key)) value = *text;
}

template <class Enum>
void read_name(const Strings& strings, const std::string& key, std::optional<Enum> (*parse)(std::string_view),
               Enum& value) {
  const std::string* text = find(strings, key);
  if (!text) return;
  const std::optional<Enum> parsed = parse(*text);
  if (!parsed) throw_malformed(key, *text);
  value = *parsed;
}

std::optional<Normalization> normalization_from_name(std::string_view name) {
  for (Normalization normalization : {Normalization::Mean, Normalization::Sum})
    if (name == normalization_name(normalization)) return normalization;
  return std::nullopt;
}

/// Names the first value that cannot be part of a Fisher diagonal.
void check_values(const std::string& path, const std::string& tensor, std::span<const float> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(values[i] >= 0) || !std::isfinite(values[i]))
      throw DataError(path + ": tensor '" + tensor + "' has the value " + std::to_string(values[i]) +
                      " at element " + std::to_string(i) + "; a Fisher diagonal is finite and not negative");
}

}  // namespace

std::string_view normalization_name(Normalization normalization) {
  return normalization == Normalization::Mean ? "mean" : "sum";
}

Strings FisherMetadata::to_strings() const {
  Strings strings{{"estimator", std::string(estimator_name(estimator.kind))},
                  {"likelihood", std::string(likelihood_name(likelihood))},
                  {"normalization", std::string(normalization_name(normalization))},
                  {"samples", std::to_string(samples)},
                  {"seed", std::to_string(estimator.seed)},
                  {"weights_sha256", weights_sha256},
                  {"data", data},
                  {"isa", isa},
                  {"precision", std::string(precision_name(precision))},
                  {"rounding_error", precision == Precision::Bf16 ? "5e-3" : "1e-5"},
                  {"version", version}};
  if (estimator.kind == EstimatorKind::MonteCarlo || estimator.kind == EstimatorKind::Sketch)
    strings["draws"] = std::to_string(estimator.draws);
  if (positions > 1) {
    strings["positions"] = std::to_string(positions);
    strings["likelihood_unit"] = std::string(likelihood_unit_name(estimator.unit));
  }
  if (!precision_unit.empty()) strings["precision_unit"] = precision_unit;
  if (estimator.kind == EstimatorKind::Batched) strings["batch_size"] = std::to_string(estimator.batch_size);
  sampling.add_to(strings);
  return strings;
}

FisherMetadata FisherMetadata::from_strings(const Strings& strings) {
  FisherMetadata metadata;
  read_name(strings, "estimator", &estimator_from_name, metadata.estimator.kind);
  read_name(strings, "likelihood", &likelihood_from_name, metadata.likelihood);
  read_name(strings, "normalization", &normalization_from_name, metadata.normalization);
  read_integer(strings, "samples", metadata.samples);
  metadata.sampling = SamplingRecord::from_strings(strings);
  read_integer(strings, "seed", metadata.estimator.seed);
  read_integer(strings, "draws", metadata.estimator.draws);
  read_integer(strings, "batch_size", metadata.estimator.batch_size);
  read_integer(strings, "positions", metadata.positions);
  read_name(strings, "likelihood_unit", &likelihood_unit_from_name, metadata.estimator.unit);
  read_text(strings, "weights_sha256", metadata.weights_sha256);
  read_text(strings, "data", metadata.data);
  read_text(strings, "isa", metadata.isa);
  read_name(strings, "precision", &precision_from_name, metadata.precision);
  read_text(strings, "precision_unit", metadata.precision_unit);
  read_text(strings, "version", metadata.version);
  return metadata;
}

FisherDiagonal::FisherDiagonal(std::vector<ParameterTensor> tensors, AlignedBuffer<float> values,
                               FisherMetadata metadata, AlignedBuffer<float> standard_errors)
    : tensors_(std::move(tensors)),
      values_(std::move(values)),
      standard_errors_(std::move(standard_errors)),
      metadata_(std::move(metadata)) {
  if (!standard_errors_.empty() && standard_errors_.size() != values_.size())
    throw ArgumentError("[FisherDiagonal] " + std::to_string(standard_errors_.size()) +
                        " standard errors of " + std::to_string(values_.size()) + " values");
  std::size_t expected = 0;
  for (const ParameterTensor& tensor : tensors_) {
    if (tensor.offset != expected)
      throw ArgumentError("[FisherDiagonal] tensor '" + tensor.name + "' starts at " +
                          std::to_string(tensor.offset) + ", expected " + std::to_string(expected));
    expected += tensor.size;
  }
  if (expected != values_.size())
    throw ArgumentError("[FisherDiagonal] tensors hold " + std::to_string(expected) + " values, got " +
                        std::to_string(values_.size()));
}

FisherDiagonal FisherDiagonal::load(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  std::vector<ParameterTensor> tensors;
  std::size_t total = 0;
  for (const TensorEntry& entry : file.tensors()) {
    if (is_standard_error(file, entry)) continue;
    tensors.push_back({entry.name, entry.shape, total, entry.elements});
    total += entry.elements;
  }
  const std::string* format = find(file.metadata(), "format");
  if (format && format->starts_with("fisherdiag."))
    throw DataError(path.string() + ": is a " + format->substr(std::string("fisherdiag.").size()) +
                    " of a computation, not a Fisher diagonal");
  FisherMetadata metadata;
  try {
    metadata = FisherMetadata::from_strings(file.metadata());
  } catch (const DataError& error) {
    throw DataError(path.string() + ": " + error.what());
  }
  const auto read = [&](const std::string& suffix) {
    AlignedBuffer<float> values(total);
    for (const ParameterTensor& tensor : tensors) {
      const TensorEntry* entry = file.find(tensor.name + suffix);
      if (!entry || entry->shape != tensor.shape)
        throw DataError(path.string() + ": tensor '" + tensor.name + "' has no standard errors of its shape");
      const std::span<float> out(values.data() + tensor.offset, tensor.size);
      file.read(*entry, out);
      check_values(path.string(), tensor.name + suffix, out);
    }
    return values;
  };
  AlignedBuffer<float> values = read("");
  AlignedBuffer<float> errors;
  if (find(file.metadata(), kErrorKey)) errors = read(kErrorSuffix);
  return {std::move(tensors), std::move(values), std::move(metadata), std::move(errors)};
}

void FisherDiagonal::save(const std::filesystem::path& path) const {
  std::vector<TensorView> views;
  for (const ParameterTensor& tensor : tensors_)
    views.push_back({tensor.name, tensor.shape, values().subspan(tensor.offset, tensor.size)});
  Strings strings = metadata_.to_strings();
  if (!standard_errors_.empty()) {
    strings[kErrorKey] = "over samples, of NAME in NAME.standard_error";
    for (const ParameterTensor& tensor : tensors_)
      views.push_back(
          {tensor.name + kErrorSuffix, tensor.shape, standard_errors().subspan(tensor.offset, tensor.size)});
  }
  write_safetensors(path, views, strings);
}

bool is_standard_error(const SafetensorsFile& file, const TensorEntry& tensor) {
  return file.metadata().contains(kErrorKey) && tensor.name.ends_with(kErrorSuffix);
}

std::string FisherDiagonal::sha256() const {
  Sha256 digest;
  digest.update_values(values());
  return digest.hex();
}

double FisherDiagonal::trace() const {
  double sum = 0;
  for (const float value : values()) sum += value;
  return sum;
}

}  // namespace fisherdiag
