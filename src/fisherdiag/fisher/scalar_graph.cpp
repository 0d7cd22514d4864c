#include "fisherdiag/fisher/scalar_graph.hpp"

#include <string>
#include <utility>

namespace fisherdiag::scalar {

Graph graph_of(const Architecture& architecture) {
  if (architecture.graph()) return *architecture.graph();
  std::vector<LayerDescription> layers;
  for (const LinearLayer& layer : architecture.layers()) {
    layers.push_back({"linear", layer.name, {}, {{"out", std::vector<std::size_t>{layer.outputs}}}});
    if (layer.activation != Activation::Identity)
      layers.push_back({std::string(activation_name(layer.activation)), layer.name + " activation", {}, {}});
  }
  return {{{}, architecture.inputs(), true}, std::move(layers)};
}

template <class Real>
ScalarGraph<Real>::ScalarGraph(const Network& network)
    : graph_(graph_of(network.architecture())),
      parameters_(network.parameters().begin(), network.parameters().end()),
      buffers_(network.buffers().begin(), network.buffers().end()) {
  for (const GraphNode& node : graph_.nodes()) layer_rule(node.layer);
}

template <class Real>
LayerCall<Real> ScalarGraph<Real>::call(std::size_t i, const std::vector<Vector<Real>>& values) const {
  const GraphNode& node = graph_.nodes()[i];
  LayerCall<Real> c{node.layer, {}, {}, node.output, {}};
  for (const std::size_t v : node.inputs) {
    c.inputs.push_back(&values[v]);
    c.shapes.push_back(graph_.value(v));
  }
  for (const std::size_t t : node.parameters) {
    const ParameterTensor& tensor = graph_.parameters()[t];
    c.tensors.push_back(std::span<const Real>(parameters_).subspan(tensor.offset, tensor.size));
  }
  for (const std::size_t t : node.buffers) {
    const ParameterTensor& tensor = graph_.buffers()[t];
    c.tensors.push_back(std::span<const Real>(buffers_).subspan(tensor.offset, tensor.size));
  }
  return c;
}

template <class Real>
std::vector<Vector<Real>> ScalarGraph<Real>::forward(const float* sample) const {
  std::vector<Vector<Real>> values(graph_.nodes().size() + 1);
  values[0].assign(sample, sample + graph_.input().size());
  forward_from(0, values);
  return values;
}

template <class Real>
void ScalarGraph<Real>::forward_from(std::size_t node, std::vector<Vector<Real>>& values) const {
  for (std::size_t i = node; i < graph_.nodes().size(); ++i)
    values[i + 1] = layer_forward(layer_rule(graph_.nodes()[i].layer), call(i, values));
}

template class ScalarGraph<double>;
template class ScalarGraph<long double>;

Vector<double> gradient(const ScalarGraph<double>& scalar, const std::vector<Vector<double>>& values,
                        const Vector<double>& seed) {
  const Graph& graph = scalar.graph();
  std::vector<Vector<double>> deltas(values.size());
  deltas.back() = seed;
  Vector<double> gradient(graph.parameter_count());
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    if (deltas[i + 1].empty()) continue;  // nothing depends on it
    const GraphNode& node = graph.nodes()[i];
    const LayerGradients g = layer_rule(node.layer).backward(scalar.call(i, values), deltas[i + 1]);
    for (std::size_t j = 0; j < node.inputs.size(); ++j) {
      Vector<double>& below = deltas[node.inputs[j]];
      below.resize(g.inputs[j].size());
      for (std::size_t e = 0; e < below.size(); ++e) below[e] += g.inputs[j][e];
    }
    for (std::size_t p = 0; p < node.parameters.size(); ++p) {
      const std::size_t offset = graph.parameters()[node.parameters[p]].offset;
      for (std::size_t e = 0; e < g.tensors[p].size(); ++e) gradient[offset + e] += g.tensors[p][e];
    }
  }
  return gradient;
}

}  // namespace fisherdiag::scalar
