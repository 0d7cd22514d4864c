#include "fisherdiag/fisher/replay.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <span>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/scalar_graph.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag {

namespace {

constexpr std::string_view kLayerPrefix = "layers.";

/// A tensor [n, ...] with `width` values per sample, all finite.
std::vector<float> read_rows(const SafetensorsFile& file, const TensorEntry& entry, std::size_t samples,
                             std::size_t width) {
  const std::string where = file.path().string() + ": tensor '" + entry.name + "' ";
  if (entry.shape.empty() || entry.shape[0] != samples || samples == 0 || entry.elements / samples != width)
    throw DataError(where + "has " + std::to_string(entry.elements) + " values, not " +
                    std::to_string(samples) + " samples of " + std::to_string(width));
  std::vector<float> values(entry.elements);
  file.read(entry, values);
  for (const float value : values)
    if (!std::isfinite(value)) throw DataError(where + "has a value that is not finite");
  return values;
}

const TensorEntry& require_tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorEntry* entry = file.find(name);
  if (!entry)
    throw DataError(file.path().string() + ": has no tensor '" + name +
                    "', which reference outputs consist of");
  return *entry;
}

/// Sums of squares of a difference and of what it is measured against.
struct Deviation {
  double difference = 0, reference = 0;

  void add(const scalar::Vector<double>& ours, const float* theirs) {
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const double wanted = theirs[i];
      difference += (ours[i] - wanted) * (ours[i] - wanted);
      reference += wanted * wanted;
    }
  }
  double relative() const {
    if (difference == 0) return 0;
    return reference > 0 ? std::sqrt(difference / reference) : std::numeric_limits<double>::infinity();
  }
};

void check_names(const SafetensorsFile& file, const Graph& graph, const Architecture& architecture) {
  for (const TensorEntry& entry : file.tensors()) {
    bool known = entry.name == "inputs" || entry.name == "logits";
    for (const GraphNode& node : graph.nodes())
      known = known || entry.name == std::string(kLayerPrefix) + node.layer.name;
    if (!known)
      throw DataError(file.path().string() + ": tensor '" + entry.name +
                      "' is of no layer of the architecture " + architecture.summary());
  }
}

}  // namespace

const ReplayLayer* ReplayReport::first_difference() const {
  for (const ReplayLayer& layer : layers)
    if (!layer.passed) return &layer;
  return nullptr;
}

std::filesystem::path reference_path(const std::filesystem::path& weights) {
  std::filesystem::path path = weights;
  if (path.extension() == ".safetensors") path.replace_extension();
  return path += ".reference.safetensors";
}

ReplayReport replay_reference(const Network& network, const std::filesystem::path& reference) {
  const SafetensorsFile file(reference);
  const Architecture& architecture = network.architecture();
  const scalar::ScalarGraph<double> scalar(network);
  const Graph& graph = scalar.graph();
  check_names(file, graph, architecture);
  const TensorEntry& input_entry = require_tensor(file, "inputs");
  const std::size_t samples = input_entry.shape.empty() ? 0 : input_entry.shape[0];
  const std::vector<float> inputs = read_rows(file, input_entry, samples, architecture.inputs());
  const std::vector<float> logits =
      read_rows(file, require_tensor(file, "logits"), samples, graph.output().size());
  std::map<std::size_t, std::vector<float>> outputs;  // of the layers that the file has
  for (std::size_t i = 0; i < graph.nodes().size(); ++i)
    if (const TensorEntry* entry = file.find(std::string(kLayerPrefix) + graph.nodes()[i].layer.name))
      outputs[i] = read_rows(file, *entry, samples, graph.nodes()[i].output.size());

  std::map<std::size_t, Deviation> deviations;
  Deviation of_logits;
  for (std::size_t n = 0; n < samples; ++n) {
    const auto values = scalar.forward(inputs.data() + n * architecture.inputs());
    for (const auto& [layer, wanted] : outputs)
      deviations[layer].add(values[layer + 1], wanted.data() + n * values[layer + 1].size());
    of_logits.add(values.back(), logits.data() + n * graph.output().size());
  }
  ReplayReport report;
  report.samples = samples;
  for (const auto& [layer, deviation] : deviations)
    report.layers.push_back({graph.nodes()[layer].layer.name, deviation.relative(), false});
  report.layers.push_back({"logits", of_logits.relative(), false});
  for (ReplayLayer& layer : report.layers) layer.passed = layer.error <= kReplayTolerance;
  report.passed = report.first_difference() == nullptr;
  return report;
}

}  // namespace fisherdiag
