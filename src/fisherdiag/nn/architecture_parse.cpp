// The ways to name an architecture: mlp shorthand, preset, JSON text, JSON file
// (docs/architecture-format.md).
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/impl/strict_json.hpp"
#include "fisherdiag/io/quoted_name.hpp"
#include "fisherdiag/nn/architecture.hpp"
#include "fisherdiag/nn/impl/graph_json.hpp"
#include "fisherdiag/nn/presets.hpp"

namespace fisherdiag {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kMlpPrefix = "mlp:";
constexpr const char* kFormat = "fisherdiag.arch/1";
/// An architecture file is a page of text; a larger one is something else.
constexpr std::size_t kMostJsonBytes = std::size_t{16} << 20;

std::optional<Activation> activation_from_name(std::string_view name) {
  for (Activation a : {Activation::Identity, Activation::Relu, Activation::Tanh, Activation::Sigmoid})
    if (name == activation_name(a)) return a;
  return std::nullopt;
}

std::vector<std::size_t> parse_sizes(std::string_view text, const std::string& whole) {
  std::vector<std::size_t> sizes;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('-', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    std::size_t size = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), size);
    if (error != std::errc() || stop != part.data() + part.size() || size == 0)
      throw ArgumentError("architecture '" + whole + "': '" + std::string(part) + "' is not a layer size");
    sizes.push_back(size);
    begin = end + 1;
  }
  return sizes;
}

Architecture parse_mlp(const std::string& text) {
  const std::string_view body = std::string_view(text).substr(kMlpPrefix.size());
  const std::size_t colon = body.find(':');
  const std::string_view name = colon == std::string_view::npos ? "relu" : body.substr(colon + 1);
  const std::optional<Activation> activation = activation_from_name(name);
  if (!activation || *activation == Activation::Identity)
    throw ArgumentError("architecture '" + text + "': activation '" + std::string(name) +
                        "' is not one of relu, tanh, sigmoid");
  const std::vector<std::size_t> sizes = parse_sizes(body.substr(0, colon), text);
  if (sizes.size() < 2)
    throw ArgumentError("architecture '" + text + "' needs at least an input and an output size");
  std::vector<LinearLayer> layers;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const bool last = l + 2 == sizes.size();
    // torch.nn.Sequential counts activations too, so linear layers have even indices.
    layers.push_back(
        {std::to_string(2 * l), sizes[l], sizes[l + 1], last ? Activation::Identity : *activation});
  }
  return Architecture(std::move(layers));
}

/// Refuses keys that nothing would read: a misspelt one must not be taken for its default.
void check_keys(const Json& object, std::initializer_list<std::string_view> known, const std::string& where) {
  for (const auto& item : object.items())
    if (std::find(known.begin(), known.end(), item.key()) == known.end())
      throw FormatError(where, "has the unknown key " + io::quoted_name(item.key()));
}

std::size_t json_size(const Json& layer, const char* key, const std::string& where) {
  const auto value = layer.find(key);
  if (value == layer.end() || !value->is_number_unsigned() || *value == 0u)
    throw FormatError(where, std::string("'") + key + "' must be a whole number above 0");
  return value->get<std::size_t>();
}

void add_json_layer(const Json& layer, std::size_t index, const std::string& source,
                    std::vector<LinearLayer>& layers) {
  const std::string where = source + ": layers[" + std::to_string(index) + "]";
  if (!layer.is_object() || !layer.contains("type") || !layer["type"].is_string())
    throw FormatError(where, "a layer is an object with a string 'type'");
  const std::string type = layer["type"];
  if (layer.contains("name") && !layer["name"].is_string())
    throw FormatError(where, "'name' must be a string");
  const std::string name = layer.contains("name") ? layer["name"].get<std::string>() : std::to_string(index);
  if (type == "linear") {
    check_keys(layer, {"type", "name", "in", "out"}, where);
    layers.push_back(
        {name, json_size(layer, "in", where), json_size(layer, "out", where), Activation::Identity});
    return;
  }
  if (type == "dropout" || type == "identity" || type == "flatten")
    return;  // nothing to do in evaluation mode
  const std::optional<Activation> activation = activation_from_name(type);
  if (!activation)
    throw UnsupportedError(
        where + " (" + io::quoted_name(name) + ") has type " + io::quoted_name(type) +
        ", which is not supported in a chain; supported are linear, relu, tanh, sigmoid, dropout, identity, "
        "flatten, and more where 'input' gives the shape of a sample, which makes the layers a graph");
  check_keys(layer, {"type", "name"}, where);
  if (layers.empty() || layers.back().activation != Activation::Identity)
    throw UnsupportedError(where + " (" + io::quoted_name(name) +
                           "): an activation must follow a linear layer");
  layers.back().activation = *activation;
}

Architecture parse_json(const std::string& text, const std::string& source) {
  const Json json = io::parse_strict_json(text, source);
  if (!json.is_object() || !json.contains("layers") || !json["layers"].is_array())
    throw FormatError(source, "an architecture is a JSON object with an array 'layers'");
  if (json.contains("input") || json.contains("sequence")) return Architecture(parse_graph(json, source));
  check_keys(json, {"format", "layers"}, source);
  if (json.contains("format") && json["format"] != kFormat)
    throw FormatError(source, std::string("'format' is not \"") + kFormat + "\", the one this version reads");
  std::vector<LinearLayer> layers;
  for (std::size_t i = 0; i < json["layers"].size(); ++i)
    add_json_layer(json["layers"][i], i, source, layers);
  try {
    return Architecture(std::move(layers));
  } catch (const ArgumentError& error) {  // the text is at fault, not the caller
    throw FormatError(source, error.what());
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(source + ": " + error.what());
  }
}

std::string read_text(const std::string& path) {
  std::error_code error;  // only regular files: opening a pipe nobody writes to would wait for ever
  const bool regular = std::filesystem::is_regular_file(path, error);
  std::ifstream file(regular ? path : "", std::ios::binary);
  if (!file)
    throw ArgumentError("architecture '" + path + "' is neither mlp:SIZES, a preset (" + preset_names() +
                        "), JSON text nor a readable file");
  std::string text(kMostJsonBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMostJsonBytes) throw FormatError(path, "too large for an architecture file");
  return text;
}

}  // namespace

Architecture Architecture::parse(const std::string& text) {
  if (text.starts_with(kMlpPrefix)) return parse_mlp(text);
  if (text.starts_with("{")) return parse_json(text, "architecture");
  if (std::optional<Graph> preset = preset_graph(text)) return Architecture(std::move(*preset));
  return parse_json(read_text(text), text);
}

std::string Architecture::to_json() const {
  if (graph_) return graph_json(*graph_).dump();
  Json layers = Json::array();
  for (const LinearLayer& layer : layers_) {
    layers.push_back(
        {{"type", "linear"}, {"name", layer.name}, {"in", layer.inputs}, {"out", layer.outputs}});
    if (layer.activation != Activation::Identity)
      layers.push_back({{"type", std::string(activation_name(layer.activation))}});
  }
  return Json{{"format", kFormat}, {"layers", layers}}.dump();
}

}  // namespace fisherdiag
