// Needed floating-point operations of a pass (docs/performance.md).
#include <algorithm>
#include <vector>

#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/graph_network.hpp"

namespace fisherdiag {

namespace {

double graph_flops(const Graph& graph, std::size_t seeds) {
  const auto columns = static_cast<double>(seeds);
  std::vector<bool> needs_delta(graph.nodes().size() + 1, false);
  double total = 0;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const GraphNode& node = graph.nodes()[i];
    const OpFlops flops = make_node_op(graph, i)->flops();
    const bool below = std::ranges::any_of(node.inputs, [&](std::size_t v) { return needs_delta[v]; });
    needs_delta[i + 1] = below || !node.parameters.empty();
    total += flops.forward + (below ? columns * flops.backward : 0) +
             (flops.accumulates_once ? 1 : columns) * flops.accumulate;
  }
  return total;
}

}  // namespace

std::size_t seeds_per_sample(const Estimator& estimator, Likelihood likelihood, std::size_t outputs) {
  return seed_columns(estimator, likelihood, outputs);
}

double fisher_flops_per_sample(const Architecture& architecture, const Estimator& estimator,
                               Likelihood likelihood) {
  if (architecture.graph())
    return graph_flops(*architecture.graph(),
                       seed_columns(estimator, likelihood, architecture.outputs(), architecture.positions()));
  double weights = 0, weights_above_first = 0;
  for (const LinearLayer& layer : architecture.layers()) {
    const double size = static_cast<double>(layer.inputs) * static_cast<double>(layer.outputs);
    if (weights > 0) weights_above_first += size;
    weights += size;
  }
  const auto columns = static_cast<double>(seed_columns(estimator, likelihood, architecture.outputs()));
  // Forward and accumulation touch every weight once, backward every weight above the first layer once per
  // seed; a touch is one multiply and one add.
  return 2.0 * (weights + columns * weights_above_first + weights);
}

}  // namespace fisherdiag
