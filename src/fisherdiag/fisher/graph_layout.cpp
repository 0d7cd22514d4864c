#include "fisherdiag/fisher/graph_layout.hpp"

#include <algorithm>
#include <bit>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/graph_network.hpp"

namespace fisherdiag {

namespace {

/// What is kept of a chain of samples: it should not leave the last-level cache by much.
constexpr std::size_t kChainBytes = std::size_t{16} << 20;
/// Sensitivities kept of the smallest chain.
constexpr std::size_t kDeltaBytes = std::size_t{64} << 20;
constexpr std::size_t kLeastChain = 8, kMostChain = 512;
constexpr std::size_t kChunksOfChain = 4;
/// A layer's values of a chunk: more samples use the weights of late layers better, but should be near when
/// the next layer comes.
constexpr std::size_t kValueBytes = std::size_t{1} << 20, kLeastChunk = 2;
/// Values, sensitivities and seeds of the samples that one thread holds.
constexpr std::size_t kChunkBytes = std::size_t{64} << 20;
/// F of all near matrices, which a thread adds to in its second-level cache.
constexpr std::size_t kNearBytes = std::size_t{768} << 10;

std::size_t strip_bytes(const ValueShape& shape, std::size_t lanes) {
  return shape.positions() * ((shape.features + lanes - 1) / lanes * lanes) * sizeof(float);
}

}  // namespace

GraphLayout::GraphLayout(const Architecture& architecture, const Estimator& estimator, Likelihood likelihood,
                         std::size_t lanes, bool whole_samples)
    : vector_offset(architecture.parameters().size()),
      is_matrix(architecture.parameters().size()),
      is_near(architecture.parameters().size()),
      near_offset(architecture.parameters().size()),
      seeds(seed_columns(estimator, likelihood, architecture.outputs(), architecture.positions())) {
  const Graph& graph = *architecture.graph();
  find_matrices(graph);
  choose_chunk(graph, lanes);
  const bool batched = estimator.kind == EstimatorKind::Batched;
  if (!batched) choose_near(graph, lanes);
  holds_near = whole_samples;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const GraphNode& node = graph.nodes()[i];
    if (node.parameters.empty() || !is_matrix[node.parameters.front()] || is_near[node.parameters.front()])
      continue;
    keeps_activation[node.inputs.front()] = true;
    keeps_delta[i + 1] = true;
  }
  if (batched) {
    chain = estimator.batch_size;
    return;
  }
  std::size_t activations = vector_elements * sizeof(float), deltas = 1;
  for (std::size_t v = 0; v <= graph.nodes().size(); ++v) {
    if (keeps_activation[v]) activations += strip_bytes(graph.value(v), lanes);
    if (keeps_delta[v]) deltas += strip_bytes(graph.value(v), lanes);
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

void GraphLayout::find_matrices(const Graph& graph) {
  const std::size_t values = graph.nodes().size() + 1;
  keeps_activation.resize(values);
  keeps_delta.resize(values);
  needs_delta.resize(values);
  is_near_output.resize(values);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const GraphNode& node = graph.nodes()[i];
    needs_delta[i + 1] = !node.parameters.empty() ||
                         std::ranges::any_of(node.inputs, [&](std::size_t v) { return needs_delta[v]; });
    if (make_node_op(graph, i)->has_matrix()) is_matrix[node.parameters.front()] = true;
  }
  for (std::size_t t = 0; t < is_matrix.size(); ++t) {
    if (is_matrix[t]) continue;
    vector_offset[t] = vector_elements;
    vector_elements += graph.parameters()[t].size;
  }
}

/// A power of two, as the chain is, so that chunks are the same however large the blocks.
void GraphLayout::choose_chunk(const Graph& graph, std::size_t lanes) {
  std::size_t held = 6 * graph.output().size() * sizeof(float);  // logits, seeds and what makes them
  std::size_t largest = 1;
  for (std::size_t v = 0; v <= graph.nodes().size(); ++v) {
    const std::size_t bytes = strip_bytes(graph.value(v), lanes);
    held += 2 * bytes;
    largest = std::max(largest, bytes);
  }
  chunk = std::clamp<std::size_t>(kValueBytes / largest, kLeastChunk, chunk);
  chunk = std::bit_floor(std::clamp<std::size_t>(kChunkBytes / held, 1, chunk));
}

void GraphLayout::choose_near(const Graph& graph, std::size_t lanes) {
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const GraphNode& node = graph.nodes()[i];
    if (node.parameters.empty() || !is_matrix[node.parameters.front()]) continue;
    const std::size_t tensor = node.parameters.front(), size = graph.parameters()[tensor].size;
    if (graph.uses(tensor) > 1 || !make_node_op(graph, i)->sums_apart(lanes)) continue;
    const std::size_t kept =
        strip_bytes(graph.value(node.inputs.front()), lanes) + strip_bytes(node.output, lanes);
    const std::size_t bytes = size * sizeof(double);
    if (2 * bytes > kept * chunk || near_elements * sizeof(double) + bytes > kNearBytes) continue;
    is_near[tensor] = is_near_output[i + 1] = true;
    near_offset[tensor] = near_elements;
    near_elements += size;
  }
}

std::size_t GraphLayout::block_rows(int threads) const {
  constexpr std::size_t kChunksPerThread = 4;
  if (seed_group < seeds) return chain;
  const std::size_t wanted = kChunksPerThread * chunk * static_cast<std::size_t>(threads);
  return (wanted + chain - 1) / chain * chain;
}

ValueStore GraphLayout::kept_activations(const Graph& graph, std::size_t lanes,
                                         std::size_t block_rows) const {
  std::vector<ValueStore::Request> requests;
  for (std::size_t v = 0; v < keeps_activation.size(); ++v)
    if (keeps_activation[v]) requests.push_back({v, block_rows});
  return {graph, lanes, std::move(requests)};
}

ValueStore GraphLayout::kept_deltas(const Graph& graph, std::size_t lanes, std::size_t block_rows) const {
  std::vector<ValueStore::Request> requests;
  for (std::size_t v = 0; v < keeps_delta.size(); ++v)
    if (keeps_delta[v]) requests.push_back({v, seed_group * block_rows});
  return {graph, lanes, std::move(requests)};
}

ValueStore GraphLayout::chunk_activations(const Graph& graph, std::size_t lanes) const {
  const std::vector<bool> unstored = unstored_values(graph, find_norm_tails(graph));
  std::vector<ValueStore::Request> requests;
  for (std::size_t v = 0; v < keeps_activation.size(); ++v)
    if (!keeps_activation[v] && !unstored[v]) requests.push_back({v, chunk});
  return {graph, lanes, std::move(requests)};
}

/// Steps are turns of layers, which the way back counts down.
ValueStore GraphLayout::chunk_deltas(const Graph& graph, std::size_t lanes) const {
  const std::vector<NormTail> tails = find_norm_tails(graph);
  const std::vector<std::size_t> turns = turns_of_layers(graph, tails);
  const std::vector<bool> unstored = unstored_values(graph, tails);
  std::vector<std::size_t> written(keeps_delta.size());
  written.back() = turns.size();
  for (std::size_t i = 0; i < turns.size(); ++i)
    for (const std::size_t v : graph.nodes()[i].inputs) written[v] = std::max(written[v], turns[i]);
  std::vector<ValueStore::Request> requests;
  for (std::size_t v = 1; v < keeps_delta.size(); ++v) {
    if (!needs_delta[v] || keeps_delta[v] || unstored[v]) continue;
    if (holds_near && is_near_output[v])
      requests.push_back({v, seeds * chunk, 0, turns.size()});
    else
      requests.push_back({v, chunk, turns[v - 1], std::max(written[v], turns[v - 1])});
  }
  return {graph, lanes, std::move(requests)};
}

}  // namespace fisherdiag
