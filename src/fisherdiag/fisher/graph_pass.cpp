#include "fisherdiag/fisher/graph_pass.hpp"

#include <algorithm>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/fisher/graph_pass_worker.hpp"
#include "fisherdiag/fisher/trace_parts.hpp"

namespace fisherdiag {

namespace {

/// Elements of the small tensors' F one task adds up.
constexpr std::size_t kVectorTask = 256;

/// Tasks 0 .. count - 1, from the longest to the shortest, in an order of which every half and quarter has
/// its share of all lengths: threads get such parts to begin with.
std::vector<std::size_t> in_equal_parts(std::size_t count) {
  std::vector<std::size_t> order;
  for (const std::size_t first : {0, 4, 2, 6, 1, 5, 3, 7})
    for (std::size_t task = first; task < count; task += 8) order.push_back(task);
  return order;
}

}  // namespace

GraphPass::GraphPass(const Network& network, const Estimator& estimator, Likelihood likelihood,
                     std::size_t block_rows, const Context& context, PassProfile* profile, bool skip_zeros,
                     std::size_t section_rows, bool squares)
    : FisherPass(network.parameters().size(), section_rows),
      architecture_(network.architecture()),
      context_(context),
      profile_(profile),
      estimator_(estimator),
      network_(architecture_, context),
      layout_(architecture_, estimator, likelihood, network_.kernels().lanes, squares),
      block_rows_(block_rows),
      kept_activations_(layout_.kept_activations(network_.graph(), network_.kernels().lanes, block_rows)),
      kept_deltas_(layout_.kept_deltas(network_.graph(), network_.kernels().lanes, block_rows)),
      kept_gradients_(block_rows * layout_.vector_elements),
      near_sums_(layout_.near_sums(block_rows)),
      trace_parts_(trace_parts(architecture_.parameters())) {
  make_tiles();
  tile_traces_ = AlignedBuffer<double>(tiles_.size() * block_rows);
  if (squares) squares_ = AlignedBuffer<double>(architecture_.parameter_count());
  if (squares) near_squares_ = AlignedBuffer<double>(near_sums_.size());
  const std::int64_t packing = profile_ ? PassProfile::now() : 0;
  network_.pack(network, context);
  if (profile_) profile_->add_to_all({PassPhase::Pack, 0, packing, PassProfile::now()});
  kept_activations_.allocate();
  kept_deltas_.allocate();
  for (int w = 0; w < context.threads(); ++w)
    workers_.push_back(
        std::make_unique<Worker>(network_, layout_, estimator, likelihood, skip_zeros, squares));
  if (profile)
    for (std::size_t w = 0; w < workers_.size(); ++w) workers_[w]->track = &profile->track(w);
}

GraphPass::~GraphPass() = default;

std::size_t GraphPass::bytes(const Architecture& architecture, const Estimator& estimator,
                             Likelihood likelihood, std::size_t block_rows, const Context& context) {
  return bytes_of(architecture, estimator, likelihood, block_rows, context, false);
}

std::size_t GraphPass::bytes_with_squares(const Architecture& architecture, const Estimator& estimator,
                                          Likelihood likelihood, std::size_t block_rows,
                                          const Context& context) {
  return bytes_of(architecture, estimator, likelihood, block_rows, context, true);
}

std::size_t GraphPass::bytes_of(const Architecture& architecture, const Estimator& estimator,
                                Likelihood likelihood, std::size_t block_rows, const Context& context,
                                bool squares) {
  const GraphNetwork network(architecture, context);
  const std::size_t lanes = network.kernels().lanes;
  const GraphLayout layout(architecture, estimator, likelihood, lanes, squares);
  const Graph& graph = network.graph();
  const std::size_t sums = aligned_bytes(architecture.parameter_count() * sizeof(double));
  const std::size_t total = (squares ? 2 : 1) * sums + network.packed_bytes() +
                            aligned_bytes(block_rows * layout.vector_elements * sizeof(float)) +
                            (squares ? 2 : 1) * aligned_bytes(layout.near_sums(block_rows) * sizeof(double)) +
                            layout.kept_activations(graph, lanes, block_rows).bytes() +
                            layout.kept_deltas(graph, lanes, block_rows).bytes();
  std::size_t traces = trace_part_count(architecture.parameters());  // of the block, and of each tile
  for (std::size_t i = 0; i < graph.nodes().size(); ++i)
    if (network.op(i).has_matrix())
      traces += layout.is_near[graph.nodes()[i].parameters.front()]
                    ? 1
                    : graph_tiles::count_of(graph_tiles::strips_of(network.op(i), lanes));
  return total + aligned_bytes(block_rows * traces * sizeof(double)) +
         static_cast<std::size_t>(context.threads()) *
             Worker::bytes(network, layout, estimator, likelihood, squares);
}

void GraphPass::make_tiles() {
  const Graph& graph = network_.graph();
  std::vector<std::vector<std::size_t>> users(graph.parameters().size());
  for (std::size_t i = 0; i < graph.nodes().size(); ++i)
    for (const std::size_t t : graph.nodes()[i].parameters) users[t].push_back(i);
  for (std::size_t t = 0; t < users.size(); ++t) {
    if (!layout_.is_matrix[t]) continue;
    const Op& first = network_.op(users[t].front());
    require_same_matrices(network_, t, users[t]);
    const std::size_t strips = graph_tiles::strips_of(first, network_.kernels().lanes);
    const std::size_t parts = layout_.is_near[t] ? 1 : graph_tiles::count_of(strips);
    for (std::size_t p = 0; p < parts; ++p)
      tiles_.push_back({t, users[t], strips * p / parts, strips * (p + 1) / parts});
  }
  const auto cost = [&](const Tile& tile) {
    if (layout_.is_near[tile.tensor]) return 0.0;
    const Op& op = network_.op(tile.nodes.front());
    return op.flops().accumulate * static_cast<double>(tile.strip_end - tile.strip_begin) /
           static_cast<double>(op.gradient_matrix().columns);
  };
  std::ranges::stable_sort(tiles_, std::ranges::greater{}, cost);
  tasks_ = in_equal_parts(tiles_.size() + (layout_.vector_elements + kVectorTask - 1) / kVectorTask);
  first_tile_.resize(users.size());
  for (std::size_t i = tiles_.size(); i-- > 0;) first_tile_[tiles_[i].tensor] = i;
}

void GraphPass::add(MatrixView<const float> inputs, MatrixView<const float> targets,
                    std::span<const std::uint64_t> samples, std::span<const float> weights,
                    MatrixView<double> traces) {
  const Block block{inputs, targets, samples, weights, traces};
  traces_wanted_ = traces.rows > 0;
  if (traces_wanted_) std::ranges::fill(tile_traces_, 0.0);
  for (std::size_t r = 0; r < traces.rows; ++r) std::fill_n(traces.row(r), traces.cols, 0.0);
  const std::size_t chunks = (inputs.rows + layout_.chunk - 1) / layout_.chunk;
  for (std::size_t begin = 0; begin < layout_.seeds; begin += layout_.seed_group) {
    const std::size_t end = std::min(begin + layout_.seed_group, layout_.seeds);
    {
      const PassRegionTimer region(profile_, PassRegion::Rows);
      context_.parallel_for(chunks, [&](std::size_t chunk, std::size_t worker) {
        const FlushDenormals flush;
        const std::size_t first = chunk * layout_.chunk;
        if (begin == 0) throw_if_stopped();
        rows_phase(block, first, std::min(layout_.chunk, inputs.rows - first), begin, end, *workers_[worker]);
      });
    }
    const PassRegionTimer region(profile_, PassRegion::Tiles);
    const bool last = end == layout_.seeds;
    context_.parallel_for(tasks_.size(), [&](std::size_t place, std::size_t worker) {
      const FlushDenormals flush;
      const std::size_t task = tasks_[place];
      if (task < tiles_.size())
        return add_tile(tiles_[task], inputs.rows, end - begin, last, *workers_[worker]);
      const PassTimer timer(workers_[worker]->track, PassPhase::Merge);
      const std::size_t element = (task - tiles_.size()) * kVectorTask;
      add_vectors(element, std::min(element + kVectorTask, layout_.vector_elements), inputs.rows, last);
    });
  }
  trace_tiles(traces);
  sums_.advance(inputs.rows);
}

/// Samples [first, first + count) of the block at value `v`.
kernels::Strips GraphPass::activation(std::size_t v, std::size_t first, std::size_t count, Worker& worker) {
  return layout_.keeps_activation[v] ? kept_activations_.samples(v, first, count)
                                     : worker.activations.samples(v, 0, count);
}

/// No data: nothing below has parameters.
kernels::Strips GraphPass::delta(std::size_t v, std::size_t seed, std::size_t first, std::size_t count,
                                 Worker& worker) {
  if (layout_.keeps_delta[v]) return kept_deltas_.samples(v, seed * block_rows_ + first, count);
  if (!layout_.needs_delta[v]) return {};
  const bool each_seed = layout_.holds_near && layout_.is_near_output[v];
  return worker.deltas.samples(v, each_seed ? seed * layout_.chunk : 0, count);
}

void GraphPass::rows_phase(const Block& block, std::size_t first, std::size_t count, std::size_t seed_begin,
                           std::size_t seed_end, Worker& worker) {
  forward(block, first, count, worker);
  const Graph& graph = network_.graph();
  const std::size_t top = graph.nodes().size(), outputs = graph.output().features;
  const MatrixView<float> rows{worker.logits.data(), count * graph.output().positions(), outputs};
  network_.kernels().from_strips(activation(top, first, count, worker), rows.data, outputs);
  const MatrixView<const float> targets =
      block.targets.rows
          ? MatrixView<const float>{block.targets.row(first), count, block.targets.cols, block.targets.stride}
          : block.targets;
  {
    const PassTimer timer(worker.track, PassPhase::Seeds);
    worker.seeds.prepare(rows, targets, block.samples.subspan(first, count),
                         block.weights.empty() ? block.weights : block.weights.subspan(first, count));
  }
  clear_near(first);
  for (std::size_t k = seed_begin; k < seed_end; ++k) {
    {
      const PassTimer timer(worker.track, PassPhase::Seeds);
      worker.seeds.write(k, rows);
      network_.kernels().to_strips(rows.data, outputs, delta(top, k - seed_begin, first, count, worker), {});
    }
    std::fill_n(worker.gradients.data(), count * layout_.vector_elements, 0.f);
    backward(first, count, k - seed_begin, worker);
    keep_gradients(first, count, k == seed_begin, worker);
  }
  if (!near_squares_.empty()) add_near_squares(first, count, seed_end - seed_begin, worker);
  if (!block.traces.rows) return;
  const PassTimer timer(worker.track, PassPhase::Traces);
  trace_vectors(block.traces, first, count);
}

void GraphPass::forward(const Block& block, std::size_t first, std::size_t count, Worker& worker) {
  worker.values.clear();
  for (std::size_t v = 0; v <= network_.nodes(); ++v)
    worker.values.push_back(activation(v, first, count, worker));
  {
    const PassTimer timer(worker.track, PassPhase::Strips);
    network_.load({block.inputs.row(first), count, block.inputs.cols, block.inputs.stride}, worker.values[0]);
  }
  network_.forward(worker.values, count, block.samples.data() + first, worker.scratch, [&](std::size_t i) {
    return PassTimer(worker.track, PassPhase::Forward, i,
                     static_cast<double>(count) * network_.op(i).flops().forward);
  });
}

void GraphPass::backward(std::size_t first, std::size_t count, std::size_t seed, Worker& worker) {
  const Graph& graph = network_.graph();
  worker.sensitivities.clear();
  for (std::size_t v = 0; v <= network_.nodes(); ++v)
    worker.sensitivities.push_back(delta(v, seed, first, count, worker));
  worker.gradient_rows.assign(graph.parameters().size(), {});
  for (std::size_t t = 0; t < worker.gradient_rows.size(); ++t)
    if (!layout_.is_matrix[t])
      worker.gradient_rows[t] = {worker.gradients.data() + layout_.vector_offset[t], layout_.vector_elements};
  const auto timed = [&](std::size_t i) {
    const bool wanted =
        std::ranges::any_of(graph.nodes()[i].inputs, [&](std::size_t v) { return layout_.needs_delta[v]; });
    return PassTimer(worker.track, PassPhase::Backward, i,
                     wanted ? static_cast<double>(count) * network_.op(i).flops().backward : 0);
  };
  network_.backward(worker.values, worker.sensitivities, worker.gradient_rows, count, worker.scratch, timed,
                    [&](std::size_t i) {
                      if (layout_.is_near_output[i + 1]) add_near(i, first, count, worker);
                    });
}

/// Squares of the small tensors' gradients, summed over seeds; batched keeps the gradients.
void GraphPass::keep_gradients(std::size_t first, std::size_t count, bool overwrite, Worker& worker) {
  const float* from = worker.gradients.data();
  float* to = kept_gradients_.data() + first * layout_.vector_elements;
  const bool squares = estimator_.kind != EstimatorKind::Batched;
  for (std::size_t i = 0; i < count * layout_.vector_elements; ++i)
    to[i] = (overwrite ? 0.f : to[i]) + (squares ? from[i] * from[i] : from[i]);
}

}  // namespace fisherdiag
