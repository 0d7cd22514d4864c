#include "fisherdiag/io/safetensors_index.hpp"

#include <span>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/impl/strict_json.hpp"
#include "fisherdiag/io/quoted_name.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;
constexpr std::size_t kMostShards = 4096;

nlohmann::json read_json(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > kMostBytes)
    throw FormatError(file.name(), "has " + std::to_string(file.size()) + " bytes, too many for an index");
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return parse_strict_json(text, file.name());
}

/// A plain name: an index must not reach out of its folder.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

}  // namespace

bool is_safetensors_index(const std::filesystem::path& path) {
  return path.filename().string().ends_with(".index.json");
}

SafetensorsIndex read_safetensors_index(const std::filesystem::path& path) {
  const std::string name = path.string();
  const nlohmann::json json = read_json(path);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object() || map->empty())
    throw FormatError(name, "is no index of safetensors files: it has no object 'weight_map' with tensors");
  std::map<std::string, std::size_t> places;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !is_plain_name(file.get_ref<const std::string&>()))
      throw FormatError(name, "weight_map of tensor " + quoted_name(tensor) +
                                  " is not the name of a file beside the index");
    places.emplace(file.get<std::string>(), 0);
  }
  if (places.size() > kMostShards)
    throw FormatError(
        name, "spreads its tensors over " + std::to_string(places.size()) + " files; at most 4096 are read");
  SafetensorsIndex index;
  for (auto& [file, place] : places) {
    place = index.shards.size();
    index.shards.push_back(path.parent_path() / file);
  }
  for (const auto& [tensor, file] : map->items()) index.tensors.emplace(tensor, places.at(file));
  const auto metadata = json.find("metadata");
  if (metadata != json.end() && metadata->is_object())
    for (const auto& [key, value] : metadata->items())
      if (value.is_string()) index.metadata.emplace(key, value);
  return index;
}

}  // namespace fisherdiag::io
