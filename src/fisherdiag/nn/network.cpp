#include "fisherdiag/nn/network.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>
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

std::span<const ParameterTensor> buffers_of(const Architecture& architecture) {
  return architecture.graph() ? architecture.graph()->buffers() : std::span<const ParameterTensor>();
}

/// PyTorch's batch norm also saves how many batches it has seen.
bool counts_batches(const std::string& name, const Architecture& architecture) {
  constexpr std::string_view kCount = ".num_batches_tracked";
  if (!name.ends_with(kCount)) return false;
  const std::string mean = name.substr(0, name.size() - kCount.size()) + ".running_mean";
  return std::ranges::any_of(buffers_of(architecture), [&](const auto& b) { return b.name == mean; });
}

void require_variances(const Network& network, const std::filesystem::path& path) {
  for (const ParameterTensor& tensor : buffers_of(network.architecture()))
    if (tensor.name.ends_with(".running_var"))
      for (const float value : network.buffers().subspan(tensor.offset, tensor.size))
        if (value < 0)
          throw DataError(path.string() + ": '" + tensor.name +
                          "' has a value below 0, which no variance is");
}

void reject_unknown_keys(const SafetensorsFile& file, const Architecture& architecture) {
  for (const TensorEntry& entry : file.tensors()) {
    bool known = false;
    for (const ParameterTensor& parameter : architecture.parameters()) known |= parameter.name == entry.name;
    for (const ParameterTensor& buffer : buffers_of(architecture)) known |= buffer.name == entry.name;
    known |= counts_batches(entry.name, architecture);
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
  for (const ParameterTensor& buffer : buffers_of(network.architecture()))
    read_parameter(file, buffer, network.buffers().subspan(buffer.offset, buffer.size));
  require_variances(network, file.path());
  return network;
}

/// What tensor `t` starts with: uniform in first +- second.
std::pair<double, double> initial_values(const Architecture& architecture, std::size_t t) {
  if (const Graph* graph = architecture.graph()) return {graph->start(t), graph->bound(t)};
  return {0.0, 1.0 / std::sqrt(static_cast<double>(architecture.layers()[t / 2].inputs))};
}

}  // namespace

Network::Network(Architecture architecture)
    : architecture_(std::move(architecture)), parameters_(architecture_.parameter_count()) {
  const Graph* graph = architecture_.graph();
  if (!graph) return;
  buffers_ = AlignedBuffer<float>(graph->buffer_count());
  for (std::size_t t = 0; t < graph->buffers().size(); ++t)
    std::ranges::fill(buffers().subspan(graph->buffers()[t].offset, graph->buffers()[t].size),
                      graph->buffer_start(t));
}

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
  for (const ParameterTensor& t : buffers_of(architecture_))
    tensors.push_back({t.name, t.shape, buffers().subspan(t.offset, t.size)});
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
  if (!buffers().empty()) digest.update_values(buffers());
  return digest.hex();
}

}  // namespace fisherdiag
