// What one thread of a GraphPass needs, and the tiles its tasks own. Internal to fisher/.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "fisherdiag/fisher/graph_pass.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace graph_tiles {

/// Strips of F one task owns at most.
inline constexpr std::size_t kStrips = 12;

/// Strips of a matrix of F and the tiles they make.
inline std::size_t strips_of(const Op& op, std::size_t lanes) {
  return (op.gradient_matrix().columns + lanes - 1) / lanes;
}
/// A power of two, so that two or four threads have the same share of a layer that costs more than all
/// others.
inline std::size_t count_of(std::size_t strips) {
  return std::bit_ceil((strips + kStrips - 1) / kStrips);
}

/// Layers whose gradients are formed, a tile at a time, before they are squared.
inline bool forms_gradients(const GraphNetwork& network, std::size_t node, bool batched, bool squares) {
  const Op& op = network.op(node);
  if (!op.has_matrix()) return false;
  return batched || network.graph().uses(network.graph().nodes()[node].parameters.front()) > 1 ||
         (squares && !op.sums_squares());
}

/// Floats of the largest tile of these layers.
inline std::size_t gradient_floats(const GraphNetwork& network, bool batched, bool squares) {
  std::size_t most = 0;
  for (std::size_t i = 0; i < network.nodes(); ++i)
    if (forms_gradients(network, i, batched, squares))
      most = std::max(most, network.op(i).gradient_matrix().rows * kStrips * network.kernels().lanes);
  return most;
}

}  // namespace graph_tiles

/// What one thread needs.
struct GraphPass::Worker {
  Worker(const GraphNetwork& network, const GraphLayout& layout, const Estimator& estimator,
         Likelihood likelihood, bool skip_zeros, bool squares)
      : seeds(estimator, likelihood, network.graph().output().features, network.graph().output().positions(),
              network.kernels()) {
    const Graph& graph = network.graph();
    const std::size_t lanes = network.kernels().lanes;
    activations = layout.chunk_activations(graph, lanes);
    activations.allocate();
    deltas = layout.chunk_deltas(graph, lanes);
    deltas.allocate();
    scratch = OpScratch(network.scratch_floats(), lanes, skip_zeros);
    gradients = AlignedBuffer<float>(layout.chunk * layout.vector_elements);
    logits = AlignedBuffer<float>(layout.chunk * graph.output().size());
    const bool batched = estimator.kind == EstimatorKind::Batched;
    gradient = AlignedBuffer<float>(graph_tiles::gradient_floats(network, batched, squares));
    if (squares) added = AlignedBuffer<float>(gradient.size());
  }

  static std::size_t bytes(const GraphNetwork& network, const GraphLayout& layout, const Estimator& estimator,
                           Likelihood likelihood, bool squares) {
    const Graph& graph = network.graph();
    const std::size_t lanes = network.kernels().lanes;
    const std::size_t values =
        layout.chunk_activations(graph, lanes).bytes() + layout.chunk_deltas(graph, lanes).bytes();
    const std::size_t floats =
        network.scratch_floats() + layout.chunk * layout.vector_elements +
        layout.chunk * graph.output().size() +
        (squares ? 2 : 1) *
            graph_tiles::gradient_floats(network, estimator.kind == EstimatorKind::Batched, squares);
    return values + floats * sizeof(float) +
           SequenceSeeds::bytes(estimator, likelihood, graph.output().features, graph.output().positions(),
                                layout.chunk);
  }

  SequenceSeeds seeds;
  PassTrack* track = nullptr;                          // nullptr: no profile
  std::vector<kernels::Strips> values, sensitivities;  // of a chunk, here or kept
  std::vector<GradientRows> gradient_rows;
  ValueStore activations, deltas;  // of a chunk: what is not kept for the block
  OpScratch scratch;
  AlignedBuffer<float> gradients;  // [chunk, vector elements]
  AlignedBuffer<float> logits;     // rows of logits or seeds
  AlignedBuffer<float> gradient;   // a tile of gradients added before they are squared
  AlignedBuffer<float> added;      // a tile of what a sample's seeds add to F
  std::vector<kernels::ConstStrips> tile_deltas;
};

}  // namespace fisherdiag
