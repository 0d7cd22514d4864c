#include "fisherdiag/nn/impl/graph_json.hpp"

#include <optional>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

using Json = nlohmann::json;

std::optional<std::vector<std::size_t>> whole_numbers(const Json& json) {
  if (json.is_number_unsigned()) return std::vector<std::size_t>{json.get<std::size_t>()};
  if (!json.is_array() || json.empty()) return std::nullopt;
  std::vector<std::size_t> numbers;
  for (const Json& number : json) {
    if (!number.is_number_unsigned()) return std::nullopt;
    numbers.push_back(number.get<std::size_t>());
  }
  return numbers;
}

/// [C], [C, L] or [C, H, W] of "input"; [T] or [T, F] of "sequence".
ValueShape parse_input(const Json& json, const std::string& source) {
  const bool sequence = json.contains("sequence");
  const char* key = sequence ? "sequence" : "input";
  const std::optional<std::vector<std::size_t>> dims = whole_numbers(json[key]);
  constexpr std::size_t kMost = std::size_t{1} << 28;
  std::size_t size = 1;
  if (dims)
    for (const std::size_t d : *dims) size = d == 0 || d > kMost / size ? 0 : size * d;
  if (!dims || size == 0 || dims->size() > (sequence ? 2 : 3))
    throw FormatError(source, sequence
                                  ? "'sequence' must be [positions] or [positions, features]"
                                  : "'input' must be [features], [channels, length] or [channels, height, "
                                    "width], all above 0");
  if (sequence) return {{dims->front()}, dims->size() == 2 ? dims->back() : 1, false};
  return {{dims->begin() + 1, dims->end()}, dims->front(), true};
}

LayerField parse_field(const Json& value, const std::string& where) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return value.get<std::string>();
  if (const auto numbers = whole_numbers(value)) return *numbers;
  if (value.is_number()) return value.get<double>();
  throw FormatError(where, "a field is true, false, a number, text or a list of whole numbers");
}

std::vector<std::string> parse_from(const Json& value, const std::string& where) {
  std::vector<std::string> names;
  const bool list = value.is_array() && !value.empty();
  if (list)
    for (const Json& name : value)
      if (name.is_string()) names.push_back(name.get<std::string>());
  if (value.is_string()) names.push_back(value.get<std::string>());
  if (names.empty() || (list && names.size() != value.size()))
    throw FormatError(where, "'from' is the name of a layer or a list of names");
  return names;
}

LayerDescription parse_layer(const Json& json, std::size_t index, const std::string& source) {
  const std::string where = source + ": layers[" + std::to_string(index) + "]";
  if (!json.is_object() || !json.contains("type") || !json["type"].is_string())
    throw FormatError(where, "a layer is an object with a string 'type'");
  LayerDescription layer;
  layer.name = std::to_string(index);
  for (const auto& [key, value] : json.items()) {
    if (key == "type") {
      layer.type = value.get<std::string>();
    } else if (key == "name") {
      if (!value.is_string()) throw FormatError(where, "'name' must be text");
      layer.name = value.get<std::string>();
    } else if (key == "from") {
      layer.from = parse_from(value, where);
    } else {
      layer.fields[key] = parse_field(value, where);
    }
  }
  return layer;
}

}  // namespace

Graph parse_graph(const Json& json, const std::string& source) {
  std::vector<LayerDescription> layers;
  for (std::size_t i = 0; i < json["layers"].size(); ++i)
    layers.push_back(parse_layer(json["layers"][i], i, source));
  try {
    return Graph(parse_input(json, source), std::move(layers));
  } catch (const ArgumentError& error) {
    throw FormatError(source, error.what());
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(source + ": " + error.what());
  }
}

Json graph_json(const Graph& graph) {
  Json layers = Json::array();
  for (const GraphNode& node : graph.nodes()) {
    Json layer{{"type", node.layer.type}, {"name", node.layer.name}};
    if (!node.layer.from.empty()) layer["from"] = node.layer.from;
    for (const auto& [key, field] : node.layer.fields)
      std::visit([&, &name = key](const auto& value) { layer[name] = value; }, field);
    layers.push_back(std::move(layer));
  }
  const ValueShape& input = graph.input();
  std::vector<std::size_t> dims = input.grid;
  dims.insert(input.channels_first ? dims.begin() : dims.end(), input.features);
  return {{"format", "fisherdiag.arch/1"},
          {input.channels_first ? "input" : "sequence", dims},
          {"layers", layers}};
}

}  // namespace fisherdiag
