// Matrices of a GraphPass that are added up while their samples go backward.
#include <algorithm>
#include <vector>

#include "fisherdiag/fisher/graph_pass.hpp"
#include "fisherdiag/fisher/graph_pass_worker.hpp"
#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

/// Sums of the chunk that starts with sample `first` of the block.
void GraphPass::clear_near(std::size_t first) {
  const std::size_t place = first / layout_.chunk * layout_.near_elements;
  std::fill_n(near_sums_.data() + place, layout_.near_elements, 0.0);
  if (!near_squares_.empty()) std::fill_n(near_squares_.data() + place, layout_.near_elements, 0.0);
}

/// Samples [begin, begin + count) of the chunk that starts with `first`, without deltas and what is wanted.
OpAccumulate GraphPass::near_request(std::size_t node, std::size_t first, std::size_t begin,
                                     std::size_t count, Worker& worker) {
  const GraphNode& place = network_.graph().nodes()[node];
  const std::size_t input = place.inputs.front(), lanes = network_.kernels().lanes;
  const std::size_t positions = network_.graph().value(input).positions();
  OpAccumulate a;
  a.input = ops::rows_of<const float>(activation(input, first, begin + count, worker), begin * positions,
                                      count * positions, lanes);
  a.samples = count;
  a.strip_end = graph_tiles::strips_of(network_.op(node), lanes);
  a.scratch = &worker.scratch;
  return a;
}

/// The squares of one seed's gradients of layer `node` to the chunk's sums.
void GraphPass::add_near(std::size_t node, std::size_t first, std::size_t count, Worker& worker) {
  const std::size_t tensor = network_.graph().nodes()[node].parameters.front();
  const std::size_t positions = network_.graph().value(node + 1).positions();
  const Op& op = network_.op(node);
  const PassTimer timer(worker.track, PassPhase::Accumulate, node,
                        static_cast<double>(count) * op.flops().accumulate);
  for (std::size_t n = 0; n < count; n += op.accumulate_samples()) {
    const std::size_t some = std::min(op.accumulate_samples(), count - n);
    OpAccumulate a = near_request(node, first, n, some, worker);
    const kernels::ConstStrips delta = ops::rows_of<const float>(
        worker.sensitivities[node + 1], n * positions, some * positions, network_.kernels().lanes);
    a.deltas = {&delta, 1};
    a.sums = near_sums_.data() + first / layout_.chunk * layout_.near_elements + layout_.near_offset[tensor];
    a.traces = tile_traces(tiles_[first_tile_[tensor]], first + n);
    op.accumulate(a);
  }
}

/// The squares of what the samples' seeds have added.
void GraphPass::add_near_squares(std::size_t first, std::size_t count, std::size_t seeds, Worker& worker) {
  for (std::size_t i = 0; i < network_.nodes(); ++i) {
    if (!layout_.is_near_output[i + 1]) continue;
    const std::size_t tensor = network_.graph().nodes()[i].parameters.front();
    const PassTimer timer(worker.track, PassPhase::Accumulate, i);
    const std::size_t positions = network_.graph().value(i + 1).positions();
    const std::size_t step = network_.op(i).accumulate_samples();
    for (std::size_t n = 0; n < count; n += step) {
      const std::size_t some = std::min(step, count - n);
      OpAccumulate a = near_request(i, first, n, some, worker);
      worker.tile_deltas.clear();
      for (std::size_t k = 0; k < seeds; ++k)
        worker.tile_deltas.push_back(ops::rows_of<const float>(delta(i + 1, k, first, count, worker),
                                                               n * positions, some * positions,
                                                               network_.kernels().lanes));
      a.deltas = worker.tile_deltas;
      a.squares =
          near_squares_.data() + first / layout_.chunk * layout_.near_elements + layout_.near_offset[tensor];
      network_.op(i).accumulate(a);
    }
  }
}

/// What the chunks of `rows` samples have summed, in their order.
void GraphPass::add_chunks(const Tile& tile, std::size_t rows, bool last) {
  const ParameterTensor& tensor = architecture_.parameters()[tile.tensor];
  for (std::size_t chunk = 0; chunk * layout_.chunk < rows; ++chunk) {
    const std::size_t place = chunk * layout_.near_elements + layout_.near_offset[tile.tensor];
    const auto add = [&](const AlignedBuffer<double>& from, double* to) {
      for (std::size_t e = 0; e < tensor.size; ++e) to[tensor.offset + e] += from[place + e];
    };
    add(near_sums_, sums_.data());
    if (!near_squares_.empty()) add(near_squares_, squares_.data());
    if (last && sums_.ends_at(std::min((chunk + 1) * layout_.chunk, rows))) fold_section(tile);
  }
}

}  // namespace fisherdiag
