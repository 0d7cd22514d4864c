#include "fisherdiag/fisher/graph_layout.hpp"

#include <algorithm>
#include <bit>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/graph_network.hpp"

namespace fisherdiag {

namespace {

/// What is kept of a chain of samples: it should not leave the last-level cache by much.
constexpr std::size_t kChainBytes = std::size_t{32} << 20;
/// Sensitivities kept of the smallest chain.
constexpr std::size_t kDeltaBytes = std::size_t{64} << 20;
constexpr std::size_t kLeastChain = 8, kMostChain = 512;
constexpr std::size_t kChunksOfChain = 4;
/// A layer's values of a chunk, which the next layer finds in the second-level cache.
constexpr std::size_t kValueBytes = std::size_t{512} << 10, kLeastChunk = 2;
/// Values, sensitivities and seeds of the samples that one thread holds.
constexpr std::size_t kChunkBytes = std::size_t{64} << 20;

std::size_t strip_bytes(const ValueShape& shape, std::size_t lanes) {
  return shape.positions() * ((shape.features + lanes - 1) / lanes * lanes) * sizeof(float);
}

}  // namespace

GraphLayout::GraphLayout(const Architecture& architecture, const Estimator& estimator, Likelihood likelihood,
                         std::size_t lanes, bool whole_samples)
    : vector_offset(architecture.parameters().size()),
      is_matrix(architecture.parameters().size()),
      seeds(seed_columns(estimator, likelihood, architecture.outputs(), architecture.positions())) {
  const Graph& graph = *architecture.graph();
  const std::size_t values = graph.nodes().size() + 1;
  keeps_activation.resize(values);
  keeps_delta.resize(values);
  needs_delta.resize(values);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const GraphNode& node = graph.nodes()[i];
    const std::unique_ptr<Op> op = make_node_op(graph, i);
    needs_delta[i + 1] = !node.parameters.empty() ||
                         std::ranges::any_of(node.inputs, [&](std::size_t v) { return needs_delta[v]; });
    if (!op->has_matrix()) continue;
    keeps_activation[node.inputs.front()] = true;
    keeps_delta[i + 1] = true;
    is_matrix[node.parameters.front()] = true;
  }
  for (std::size_t t = 0; t < is_matrix.size(); ++t) {
    if (is_matrix[t]) continue;
    vector_offset[t] = vector_elements;
    vector_elements += architecture.parameters()[t].size;
  }
  std::size_t activations = vector_elements * sizeof(float), deltas = 1;
  for (std::size_t v = 0; v < values; ++v) {
    if (keeps_activation[v]) activations += strip_bytes(graph.value(v), lanes);
    if (keeps_delta[v]) deltas += strip_bytes(graph.value(v), lanes);
  }
  std::size_t held = 6 * graph.output().size() * sizeof(float);  // logits, seeds and what makes them
  for (std::size_t v = 0; v < values; ++v) held += 2 * strip_bytes(graph.value(v), lanes);
  std::size_t largest = 1;
  for (std::size_t v = 0; v < values; ++v) largest = std::max(largest, strip_bytes(graph.value(v), lanes));
  chunk = std::clamp<std::size_t>(kValueBytes / largest, kLeastChunk, chunk);
  chunk = std::clamp<std::size_t>(kChunkBytes / held, 1, chunk);
  if (estimator.kind == EstimatorKind::Batched) {
    chain = estimator.batch_size;
    return;
  }
  const std::size_t most = std::clamp<std::size_t>(kDeltaBytes / kLeastChain / deltas, 1, seeds);
  const std::size_t groups = whole_samples ? 1 : (seeds + most - 1) / most;
  seed_group = (seeds + groups - 1) / groups;  // all of about one size
  const std::size_t fitting = kChainBytes / (activations + seed_group * deltas);
  chain = std::clamp(std::bit_floor(fitting), kLeastChain, kMostChain);
  if (most < seed_group) chain = std::clamp<std::size_t>(std::bit_floor(fitting), 1, kLeastChain);
  // A block of one chain has something to do for several threads.
  if (seed_group < seeds) chunk = std::clamp<std::size_t>(chain / kChunksOfChain, 1, chunk);
}

std::size_t GraphLayout::block_rows(int threads) const {
  constexpr std::size_t kChunksPerThread = 4;
  if (seed_group < seeds) return chain;
  const std::size_t wanted = kChunksPerThread * chunk * static_cast<std::size_t>(threads);
  return (wanted + chain - 1) / chain * chain;
}

}  // namespace fisherdiag
