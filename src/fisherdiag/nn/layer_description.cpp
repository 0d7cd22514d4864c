#include "fisherdiag/nn/layer_description.hpp"

#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/nn/value_shape.hpp"

namespace fisherdiag {

std::string ValueShape::text() const {
  std::vector<std::size_t> dims = grid;
  dims.insert(channels_first ? dims.begin() : dims.end(), features);
  std::string text = "[";
  for (const std::size_t d : dims) text += (text.size() > 1 ? ", " : "") + std::to_string(d);
  return text + "]";
}

const LayerField* LayerFields::find(const std::string& key) {
  used_.insert(key);
  const auto found = layer_.fields.find(key);
  return found == layer_.fields.end() ? nullptr : &found->second;
}

void LayerFields::fail(const std::string& reason) const {
  throw ArgumentError("layer '" + layer_.name + "' (" + layer_.type + "): " + reason);
}

std::size_t LayerFields::size(const std::string& key, std::optional<std::size_t> otherwise) {
  return sizes(key, 1, otherwise)[0];
}

std::vector<std::size_t> LayerFields::sizes(const std::string& key, std::size_t rank,
                                            std::optional<std::size_t> otherwise, std::size_t least) {
  /// No sample has more numbers, and products of a few of these do not overflow.
  constexpr std::size_t kMost = std::size_t{1} << 28;
  const std::string wanted =
      "'" + key + "' must be " +
      (rank == 1 ? "a whole number" : "one or " + std::to_string(rank) + " whole numbers") + " of at least " +
      std::to_string(least);
  const LayerField* field = find(key);
  if (!field) {
    if (!otherwise) fail(wanted);
    return std::vector<std::size_t>(rank, *otherwise);
  }
  const auto* values = std::get_if<std::vector<std::size_t>>(field);
  if (!values || (values->size() != 1 && values->size() != rank)) fail(wanted);
  for (const std::size_t value : *values)
    if (value < least || value > kMost) fail(wanted);
  return values->size() == rank ? *values : std::vector<std::size_t>(rank, values->front());
}

double LayerFields::number(const std::string& key, double otherwise) {
  const LayerField* field = find(key);
  if (!field) return otherwise;
  if (const auto* values = std::get_if<std::vector<std::size_t>>(field); values && values->size() == 1)
    return static_cast<double>(values->front());
  const auto* number = std::get_if<double>(field);
  if (!number || !std::isfinite(*number)) fail("'" + key + "' must be a number");
  return *number;
}

bool LayerFields::flag(const std::string& key, bool otherwise) {
  const LayerField* field = find(key);
  if (!field) return otherwise;
  const auto* flag = std::get_if<bool>(field);
  if (!flag) fail("'" + key + "' must be true or false");
  return *flag;
}

bool LayerFields::names(const std::string& key) const {
  const auto found = layer_.fields.find(key);
  return found != layer_.fields.end() && std::holds_alternative<std::string>(found->second);
}

bool LayerFields::has_bias() {
  return names("bias") || flag("bias", true);
}

std::string LayerFields::text(const std::string& key, const std::string& otherwise) {
  const LayerField* field = find(key);
  if (!field) return otherwise;
  const auto* text = std::get_if<std::string>(field);
  if (!text || text->empty()) fail("'" + key + "' must be text");
  return *text;
}

void LayerFields::check_all_used(const std::set<std::string>& parameters) const {
  for (const auto& [key, value] : layer_.fields) {
    const bool names_parameter = parameters.contains(key) && std::holds_alternative<std::string>(value);
    if (!used_.contains(key) && !names_parameter) fail("has no field '" + key + "'");
  }
}

}  // namespace fisherdiag
