#include "fisherdiag/nn/graph.hpp"

#include <algorithm>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/nn/op.hpp"

namespace fisherdiag {

namespace {

/// Far above any model that fits a machine, low enough that sizes never overflow.
constexpr std::size_t kMostParameters = std::size_t{1} << 40;

std::size_t elements(const std::vector<std::size_t>& shape) {
  std::size_t product = 1;
  for (const std::size_t d : shape) {
    if (product > kMostParameters / d) throw ArgumentError("the architecture has too many parameters");
    product *= d;
  }
  return product;
}

std::string tensor_name(const LayerDescription& layer, const std::string& role) {
  const auto field = layer.fields.find(role);
  if (field != layer.fields.end())
    if (const auto* name = std::get_if<std::string>(&field->second)) return *name;
  return layer.name + "." + role;
}

}  // namespace

Graph::Graph(ValueShape input, std::vector<LayerDescription> layers) : input_(std::move(input)) {
  if (input_.size() == 0) throw ArgumentError("the input of an architecture has a size of 0");
  if (layers.empty()) throw ArgumentError("an architecture needs at least one layer");
  for (LayerDescription& layer : layers) add(std::move(layer));
  if (parameters_.empty()) throw ArgumentError("the architecture has no parameters");
}

void Graph::add(LayerDescription layer) {
  const auto value_called = [&](const std::string& name) -> std::size_t {
    if (name == "input") return 0;
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      if (nodes_[i].layer.name == name) return i + 1;
    throw ArgumentError("layer '" + layer.name + "' takes '" + name + "', which is no layer before it");
  };
  if (layer.name.empty() || layer.name == "input")
    throw ArgumentError("a layer cannot be called '" + layer.name + "'");
  if (std::ranges::any_of(nodes_, [&](const GraphNode& n) { return n.layer.name == layer.name; }))
    throw ArgumentError("two layers are called '" + layer.name + "'");
  GraphNode node;
  if (layer.from.empty()) node.inputs.push_back(nodes_.size());
  for (const std::string& name : layer.from) node.inputs.push_back(value_called(name));
  std::vector<ValueShape> shapes;
  for (const std::size_t v : node.inputs) shapes.push_back(value(v));
  const std::unique_ptr<Op> op = make_op(layer, shapes);
  node.output = op->output();
  if (op->tokens()) {
    if (node.inputs.front() != 0)
      throw ArgumentError("layer '" + layer.name + "' (" + layer.type +
                          ") takes token ids, which only the network's input holds");
    tokens_ = tokens_ ? std::min(tokens_, op->tokens()) : op->tokens();
  }
  for (const OpParameter& p : op->parameters())
    node.parameters.push_back(tensor_of(layer, p.role, p.shape, {p.start, p.bound, 1}));
  for (const OpBuffer& b : op->buffers()) {
    node.buffers.push_back(buffers_.size());
    buffers_.push_back({layer.name + "." + b.role, b.shape, buffer_count(), elements(b.shape)});
    buffer_starts_.push_back(b.start);
  }
  node.layer = std::move(layer);
  nodes_.push_back(std::move(node));
}

std::size_t Graph::tensor_of(const LayerDescription& layer, const std::string& role,
                             const std::vector<std::size_t>& shape, Initial initial) {
  const std::string name = tensor_name(layer, role);
  for (std::size_t t = 0; t < parameters_.size(); ++t) {
    if (parameters_[t].name != name) continue;
    if (parameters_[t].shape != shape)
      throw ArgumentError("layer '" + layer.name + "' shares '" + name +
                          "' with a layer that gives it another shape");
    ++initial_[t].uses;
    // A table of embeddings used again as the output's weights would make logits of its size times its width.
    initial_[t].bound = std::min(initial_[t].bound, initial.bound);
    return t;
  }
  const std::size_t size = elements(shape);
  parameters_.push_back({name, shape, parameter_count_, size});
  initial_.push_back(initial);
  parameter_count_ += size;
  if (parameter_count_ > kMostParameters) throw ArgumentError("the architecture has too many parameters");
  return parameters_.size() - 1;
}

std::string Graph::summary() const {
  return "graph of " + std::to_string(nodes_.size()) + " layers, " + input_.text() + " to " +
         std::to_string(output().features);
}

}  // namespace fisherdiag
