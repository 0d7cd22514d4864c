#include "reference/graph_reference.hpp"

#include <cmath>
#include <numbers>
#include <stdexcept>

#include "reference/graph_layers.hpp"

namespace fisherdiag::reference {

namespace {

LayerCall call(const Graph& graph, const Vector& parameters, const Vector& buffers, const std::vector<Vector>& values,
               std::size_t i) {
  const GraphNode& node = graph.nodes()[i];
  LayerCall c{node.layer, {}, {}, node.output, {}, {}};
  for (const std::size_t v : node.inputs) {
    c.inputs.push_back(values[v]);
    c.shapes.push_back(graph.value(v));
  }
  for (const std::size_t t : node.parameters) {
    const ParameterTensor& tensor = graph.parameters()[t];
    c.parameters.emplace_back(parameters.begin() + tensor.offset,
                              parameters.begin() + tensor.offset + tensor.size);
  }
  for (const std::size_t t : node.buffers) {
    const ParameterTensor& tensor = graph.buffers()[t];
    c.buffers.emplace_back(buffers.begin() + tensor.offset, buffers.begin() + tensor.offset + tensor.size);
  }
  return c;
}

std::vector<Vector> all_values(const Graph& graph, const Vector& parameters, const Vector& buffers, const Vector& x) {
  std::vector<Vector> values{x};
  for (std::size_t i = 0; i < graph.nodes().size(); ++i)
    values.push_back(layer_forward(call(graph, parameters, buffers, values, i)));
  return values;
}

void add_to(Vector& sum, const Vector& terms, std::size_t offset = 0) {
  for (std::size_t i = 0; i < terms.size(); ++i) sum[offset + i] += terms[i];
}

}  // namespace

Vector graph_forward(const Graph& graph, const Vector& parameters, const Vector& buffers, const Vector& x) {
  return all_values(graph, parameters, buffers, x).back();
}

Vector graph_gradient(const Graph& graph, const Vector& parameters, const Vector& buffers, const Vector& x, const Vector& seed) {
  const std::vector<Vector> values = all_values(graph, parameters, buffers, x);
  std::vector<Vector> sensitivities;
  for (const Vector& value : values) sensitivities.emplace_back(value.size(), 0.0);
  sensitivities.back() = seed;
  Vector gradient(parameters.size(), 0.0);
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    const GraphNode& node = graph.nodes()[i];
    const LayerGradients g = layer_backward(call(graph, parameters, buffers, values, i), sensitivities[i + 1]);
    for (std::size_t j = 0; j < node.inputs.size(); ++j) add_to(sensitivities[node.inputs[j]], g.inputs[j]);
    // Layers that share a tensor add up here: before anyone squares.
    for (std::size_t p = 0; p < node.parameters.size(); ++p)
      add_to(gradient, g.parameters[p], graph.parameters()[node.parameters[p]].offset);
  }
  return gradient;
}

}  // namespace fisherdiag::reference
