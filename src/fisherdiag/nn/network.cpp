#include "fisherdiag/nn/network.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "fisherdiag/base/digest.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag {

namespace {

constexpr const char* kArchitectureKey = "fisherdiag.arch";

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (std::size_t d : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(d);
  return text + "]";
}

void read_parameter(const SafetensorsFile& file, const ParameterTensor& parameter, std::span<float> out) {
  const std::string where = file.path().string() + ": ";
  const TensorEntry* entry = file.find(parameter.name);
  if (!entry) throw DataError(where + "no tensor '" + parameter.name + "', which the architecture needs");
  if (entry->shape != parameter.shape)
    throw DataError(where + "tensor '" + parameter.name + "' has shape " + shape_text(entry->shape) +
                    " but the architecture needs " + shape_text(parameter.shape));
  file.read(*entry, out);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (!std::isfinite(out[i]))
      throw DataError(where + "element " + std::to_string(i) + " of '" + parameter.name + "' is not finite");
}

void reject_unknown_keys(const SafetensorsFile& file, const Architecture& architecture) {
  for (const TensorEntry& entry : file.tensors()) {
    bool known = false;
    for (const ParameterTensor& parameter : architecture.parameters()) known |= parameter.name == entry.name;
    if (!known)
      throw DataError(file.path().string() + ": tensor '" + entry.name +
                      "' is not a parameter of the architecture " + architecture.summary());
  }
}

Network load_parameters(const SafetensorsFile& file, Architecture architecture) {
  Network network(std::move(architecture));
  reject_unknown_keys(file, network.architecture());
  for (const ParameterTensor& parameter : network.architecture().parameters())
    read_parameter(file, parameter, network.parameters().subspan(parameter.offset, parameter.size));
  return network;
}

/// What tensor `t` starts with: uniform in first +- second.
std::pair<double, double> initial_values(const Architecture& architecture, std::size_t t) {
  if (const Graph* graph = architecture.graph()) return {graph->start(t), graph->bound(t)};
  return {0.0, 1.0 / std::sqrt(static_cast<double>(architecture.layers()[t / 2].inputs))};
}

}  // namespace

Network::Network(Architecture architecture)
    : architecture_(std::move(architecture)), parameters_(architecture_.parameter_count()) {}

Network Network::random(Architecture architecture, std::uint64_t seed) {
  Network network(std::move(architecture));
  const auto& tensors = network.architecture().parameters();
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const auto [start, bound] = initial_values(network.architecture(), t);
    RandomStream random(seed, random_stream::kInit, t);
    for (float& value : network.parameters().subspan(tensors[t].offset, tensors[t].size))
      value = static_cast<float>(start + bound * (2.0 * random.next_uniform() - 1.0));
  }
  return network;
}

Network Network::load(const std::filesystem::path& weights, Architecture architecture) {
  return load_parameters(SafetensorsFile(weights), std::move(architecture));
}

Network Network::load(const std::filesystem::path& weights) {
  SafetensorsFile file(weights);
  const auto text = file.metadata().find(kArchitectureKey);
  if (text == file.metadata().end())
    throw DataError(weights.string() + ": its metadata has no '" + kArchitectureKey +
                    "', so the architecture must be given");
  return load_parameters(file, Architecture::parse(text->second));
}

void Network::save(const std::filesystem::path& path, std::map<std::string, std::string> metadata) const {
  metadata[kArchitectureKey] = architecture_.to_json();
  metadata.emplace("format", "pt");
  std::vector<TensorView> tensors;
  for (const ParameterTensor& t : architecture_.parameters())
    tensors.push_back({t.name, t.shape, parameters().subspan(t.offset, t.size)});
  write_safetensors(path, tensors, metadata);
}

std::span<const float> Network::weight(std::size_t layer) const {
  const ParameterTensor& tensor = architecture_.parameters()[2 * layer];
  return parameters().subspan(tensor.offset, tensor.size);
}

std::span<const float> Network::bias(std::size_t layer) const {
  const ParameterTensor& tensor = architecture_.parameters()[2 * layer + 1];
  return parameters().subspan(tensor.offset, tensor.size);
}

std::string Network::sha256() const {
  Sha256 digest;
  digest.update_values(parameters());
  return digest.hex();
}

}  // namespace fisherdiag
