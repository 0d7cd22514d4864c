#include "fisherdiag/nn/graph_network.hpp"

#include <algorithm>

namespace fisherdiag {

std::unique_ptr<Op> make_node_op(const Graph& graph, std::size_t node) {
  std::vector<ValueShape> shapes;
  for (const std::size_t v : graph.nodes()[node].inputs) shapes.push_back(graph.value(v));
  return make_op(graph.nodes()[node].layer, shapes);
}

GraphNetwork::GraphNetwork(const Architecture& architecture, const Context& context)
    : graph_(*architecture.graph()), kernels_(kernels::kernel_table(context.isa())) {
  for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
    ops_.push_back(make_node_op(graph_, i));
    ops_.back()->prepare(kernels_);
  }
}

void GraphNetwork::pack(const Network& network, const Context& context) {
  context.parallel_for(ops_.size(), [&](std::size_t i, std::size_t) {
    std::vector<std::span<const float>> parameters;
    for (const std::size_t t : graph_.nodes()[i].parameters) {
      const ParameterTensor& tensor = graph_.parameters()[t];
      parameters.push_back(network.parameters().subspan(tensor.offset, tensor.size));
    }
    if (!parameters.empty()) ops_[i]->pack(parameters);
  });
}

std::size_t GraphNetwork::packed_bytes() const {
  std::size_t total = 0;
  for (const auto& op : ops_) total += op->packed_bytes(kernels_.lanes);
  return total;
}

std::size_t GraphNetwork::scratch_floats() const {
  std::size_t most = 0;
  for (const auto& op : ops_) most = std::max(most, op->scratch_floats(kernels_.lanes));
  return most;
}

}  // namespace fisherdiag
