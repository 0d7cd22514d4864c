#include "fisherdiag/nn/architecture.hpp"

#include <limits>
#include <set>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

std::string_view activation_name(Activation activation) {
  switch (activation) {
    case Activation::Identity:
      return "identity";
    case Activation::Relu:
      return "relu";
    case Activation::Tanh:
      return "tanh";
    case Activation::Sigmoid:
      return "sigmoid";
  }
  return "identity";
}

namespace {

/// Far above any model that fits a machine, low enough that sizes never overflow.
constexpr std::size_t kMostParameters = std::size_t{1} << 40;

void check_layer(const LinearLayer& layer, std::size_t expected_inputs) {
  if (layer.inputs == 0 || layer.outputs == 0)
    throw ArgumentError("layer '" + layer.name + "' has a size of 0");
  if (expected_inputs && layer.inputs != expected_inputs)
    throw ArgumentError("layer '" + layer.name + "' takes " + std::to_string(layer.inputs) +
                        " inputs but the layer before it has " + std::to_string(expected_inputs) +
                        " outputs");
  if (layer.inputs > kMostParameters / layer.outputs)
    throw ArgumentError("layer '" + layer.name + "' is too large");
}

}  // namespace

Architecture::Architecture(std::vector<LinearLayer> layers) : layers_(std::move(layers)) {
  if (layers_.empty()) throw ArgumentError("an architecture needs at least one layer");
  std::set<std::string> names;
  std::size_t before = 0;
  for (const LinearLayer& layer : layers_) {
    check_layer(layer, before);
    if (!names.insert(layer.name).second) throw ArgumentError("two layers are called '" + layer.name + "'");
    before = layer.outputs;
    const std::size_t weights = layer.inputs * layer.outputs;
    parameters_.push_back({layer.name + ".weight", {layer.outputs, layer.inputs}, parameter_count_, weights});
    parameters_.push_back({layer.name + ".bias", {layer.outputs}, parameter_count_ + weights, layer.outputs});
    parameter_count_ += weights + layer.outputs;
    if (parameter_count_ > kMostParameters) throw ArgumentError("the architecture has too many parameters");
  }
  if (layers_.back().activation != Activation::Identity)
    throw UnsupportedError(
        "layer '" + layers_.back().name +
        "' is the last and has an activation; leave it out, the likelihood applies its own");
}

Architecture::Architecture(Graph graph)
    : graph_(std::make_shared<const Graph>(std::move(graph))),
      parameters_(graph_->parameters()),
      parameter_count_(graph_->parameter_count()) {
  const ValueShape& output = graph_->output();
  const bool sequence = output.grid.size() == 1 && !output.channels_first;
  if (output.positions() != 1 && !sequence)
    throw UnsupportedError("layer '" + graph_->nodes().back().layer.name + "' is the last and puts out " +
                           graph_->output().text() +
                           "; end with one vector per sample, as a flatten or linear layer gives");
}

std::string Architecture::summary() const {
  if (graph_) return graph_->summary();
  std::string text = std::to_string(inputs());
  for (const LinearLayer& layer : layers_) text += "-" + std::to_string(layer.outputs);
  std::string_view activation = layers_.size() > 1 ? activation_name(layers_.front().activation) : "";
  for (std::size_t l = 0; l + 1 < layers_.size(); ++l)
    if (activation_name(layers_[l].activation) != activation) activation = "mixed activations";
  return activation.empty() ? text : text + " " + std::string(activation);
}

void require_chain(const Architecture& architecture, std::string_view what) {
  if (!architecture.graph()) return;
  const LayerDescription& first = architecture.graph()->nodes().front().layer;
  throw UnsupportedError(std::string(what) +
                         " covers chains of linear layers, not a graph of layers such as '" + first.name +
                         "' (" + first.type + "); 'compute' does graphs");
}

void require_one_position(const Architecture& architecture, std::string_view what) {
  if (architecture.positions() == 1) return;
  throw UnsupportedError(
      std::string(what) + " covers networks with one output per sample, not one at each of " +
      std::to_string(architecture.positions()) + " positions; 'compute' and 'check' do sequences");
}

}  // namespace fisherdiag
