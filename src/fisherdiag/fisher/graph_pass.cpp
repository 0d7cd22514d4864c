#include "fisherdiag/fisher/graph_pass.hpp"

#include <algorithm>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace {

/// Strips of F one task owns.
constexpr std::size_t kTileStrips = 12;
/// Elements of the small tensors' F one task adds up.
constexpr std::size_t kVectorTask = 256;

std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

/// Floats of the largest tile of a tensor whose gradients are added before they are squared.
std::size_t summed_floats(const GraphNetwork& network, bool batched) {
  std::size_t most = 0;
  for (std::size_t i = 0; i < network.nodes(); ++i) {
    const Op& op = network.op(i);
    if (!op.has_matrix()) continue;
    if (!batched && network.graph().uses(network.graph().nodes()[i].parameters.front()) == 1) continue;
    most = std::max(most, op.gradient_matrix().rows * kTileStrips * network.kernels().lanes);
  }
  return most;
}

}  // namespace

/// What one thread needs.
struct GraphPass::Worker {
  Worker(const GraphNetwork& network, const GraphLayout& layout, const Estimator& estimator,
         Likelihood likelihood)
      : seeds(estimator, likelihood, network.graph().output().features, network.graph().output().positions(),
              network.kernels()) {
    const Graph& graph = network.graph();
    const std::size_t lanes = network.kernels().lanes;
    activations.resize(graph.nodes().size() + 1);
    deltas.resize(activations.size());
    for (std::size_t v = 0; v < activations.size(); ++v) {
      const ValueShape& shape = graph.value(v);
      const std::size_t rows = layout.chunk * shape.positions();
      if (!layout.keeps_activation[v]) activations[v] = StripBuffer(rows, shape.features, lanes);
      if (!layout.keeps_delta[v] && layout.needs_delta[v])
        deltas[v] = StripBuffer(rows, shape.features, lanes);
    }
    scratch = OpScratch(network.scratch_floats(), lanes);
    gradients = AlignedBuffer<float>(layout.chunk * layout.vector_elements);
    logits = AlignedBuffer<float>(layout.chunk * graph.output().size());
    summed = AlignedBuffer<float>(summed_floats(network, estimator.kind == EstimatorKind::Batched));
  }

  static std::size_t bytes(const GraphNetwork& network, const GraphLayout& layout, const Estimator& estimator,
                           Likelihood likelihood) {
    const Graph& graph = network.graph();
    const std::size_t lanes = network.kernels().lanes;
    std::size_t total = 0;
    for (std::size_t v = 0; v <= graph.nodes().size(); ++v) {
      const ValueShape& shape = graph.value(v);
      const std::size_t one = StripBuffer::bytes(layout.chunk * shape.positions(), shape.features, lanes);
      if (!layout.keeps_activation[v]) total += one;
      if (!layout.keeps_delta[v] && layout.needs_delta[v]) total += one;
    }
    const std::size_t floats = network.scratch_floats() + layout.chunk * layout.vector_elements +
                               layout.chunk * graph.output().size() +
                               summed_floats(network, estimator.kind == EstimatorKind::Batched);
    return total + floats * sizeof(float) +
           SequenceSeeds::bytes(estimator, likelihood, graph.output().features, graph.output().positions(),
                                layout.chunk);
  }

  SequenceSeeds seeds;
  PassTrack* track = nullptr;                          // nullptr: no profile
  std::vector<kernels::Strips> values, sensitivities;  // of a chunk, here or kept
  std::vector<GradientRows> gradient_rows;
  std::vector<StripBuffer> activations, deltas;  // of a chunk; empty: kept for the block, or not needed
  OpScratch scratch;
  AlignedBuffer<float> gradients;  // [chunk, vector elements]
  AlignedBuffer<float> logits;     // rows of logits or seeds
  AlignedBuffer<float> summed;     // a tile of gradients added before they are squared
  std::vector<kernels::ConstStrips> tile_deltas;
};

GraphPass::GraphPass(const Network& network, const Estimator& estimator, Likelihood likelihood,
                     std::size_t block_rows, const Context& context, PassProfile* profile,
                     std::size_t section_rows)
    : FisherPass(network.parameters().size(), section_rows),
      architecture_(network.architecture()),
      context_(context),
      profile_(profile),
      estimator_(estimator),
      network_(architecture_, context),
      layout_(architecture_, estimator, likelihood, network_.kernels().lanes),
      block_rows_(block_rows),
      kept_gradients_(block_rows * layout_.vector_elements) {
  make_tiles();
  const std::int64_t packing = profile_ ? PassProfile::now() : 0;
  network_.pack(network, context);
  if (profile_) profile_->add_to_all({PassPhase::Pack, 0, packing, PassProfile::now()});
  const Graph& graph = network_.graph();
  const std::size_t lanes = network_.kernels().lanes;
  kept_activations_.resize(graph.nodes().size() + 1);
  kept_deltas_.resize(graph.nodes().size() + 1);
  for (std::size_t v = 0; v < kept_deltas_.size(); ++v) {
    const std::size_t rows = block_rows * graph.value(v).positions();
    if (layout_.keeps_activation[v]) kept_activations_[v] = StripBuffer(rows, graph.value(v).features, lanes);
    if (layout_.keeps_delta[v])
      kept_deltas_[v] = StripBuffer(layout_.seed_group * rows, graph.value(v).features, lanes);
  }
  for (int w = 0; w < context.threads(); ++w)
    workers_.push_back(std::make_unique<Worker>(network_, layout_, estimator, likelihood));
  if (profile)
    for (std::size_t w = 0; w < workers_.size(); ++w) workers_[w]->track = &profile->track(w);
}

GraphPass::~GraphPass() = default;

std::size_t GraphPass::bytes(const Architecture& architecture, const Estimator& estimator,
                             Likelihood likelihood, std::size_t block_rows, const Context& context) {
  const GraphNetwork network(architecture, context);
  const std::size_t lanes = network.kernels().lanes;
  const GraphLayout layout(architecture, estimator, likelihood, lanes);
  const Graph& graph = network.graph();
  std::size_t total = aligned_bytes(architecture.parameter_count() * sizeof(double)) +
                      network.packed_bytes() +
                      aligned_bytes(block_rows * layout.vector_elements * sizeof(float));
  for (std::size_t v = 0; v <= graph.nodes().size(); ++v) {
    const ValueShape& shape = graph.value(v);
    const std::size_t rows = block_rows * shape.positions();
    if (layout.keeps_activation[v]) total += StripBuffer::bytes(rows, shape.features, lanes);
    if (layout.keeps_delta[v]) total += StripBuffer::bytes(layout.seed_group * rows, shape.features, lanes);
  }
  return total +
         static_cast<std::size_t>(context.threads()) * Worker::bytes(network, layout, estimator, likelihood);
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
    const std::size_t lanes = network_.kernels().lanes;
    const std::size_t strips = (first.gradient_matrix().columns + lanes - 1) / lanes;
    const std::size_t parts = (strips + kTileStrips - 1) / kTileStrips;
    for (std::size_t p = 0; p < parts; ++p)
      tiles_.push_back({t, users[t], strips * p / parts, strips * (p + 1) / parts});
  }
  // The longest first, so that none is left for the end.
  const auto cost = [&](const Tile& tile) {
    const Op& op = network_.op(tile.nodes.front());
    return op.flops().accumulate * static_cast<double>(tile.strip_end - tile.strip_begin) /
           static_cast<double>(op.gradient_matrix().columns);
  };
  std::ranges::stable_sort(tiles_, std::ranges::greater{}, cost);
}

void GraphPass::add(MatrixView<const float> inputs, MatrixView<const float> targets,
                    std::span<const std::uint64_t> samples, std::span<const float> weights,
                    MatrixView<double>) {
  const Block block{inputs, targets, samples, weights};
  const std::size_t chunks = (inputs.rows + layout_.chunk - 1) / layout_.chunk;
  const std::size_t slices = (layout_.vector_elements + kVectorTask - 1) / kVectorTask;
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
    context_.parallel_for(tiles_.size() + slices, [&](std::size_t task, std::size_t worker) {
      const FlushDenormals flush;
      if (task < tiles_.size())
        return add_tile(tiles_[task], inputs.rows, end - begin, last, *workers_[worker]);
      const PassTimer timer(workers_[worker]->track, PassPhase::Merge);
      const std::size_t element = (task - tiles_.size()) * kVectorTask;
      add_vectors(element, std::min(element + kVectorTask, layout_.vector_elements), inputs.rows, last);
    });
  }
  sums_.advance(inputs.rows);
}

/// Samples [first, first + count) of the block at value `v`.
kernels::Strips GraphPass::activation(std::size_t v, std::size_t first, std::size_t count, Worker& worker) {
  const std::size_t positions = network_.graph().value(v).positions();
  if (layout_.keeps_activation[v]) return kept_activations_[v].rows(first * positions, count * positions);
  return worker.activations[v].rows(0, count * positions);
}

/// No data: nothing below has parameters.
kernels::Strips GraphPass::delta(std::size_t v, std::size_t seed, std::size_t first, std::size_t count,
                                 Worker& worker) {
  const std::size_t positions = network_.graph().value(v).positions();
  if (layout_.keeps_delta[v])
    return kept_deltas_[v].rows((seed * block_rows_ + first) * positions, count * positions);
  return layout_.needs_delta[v] ? worker.deltas[v].rows(0, count * positions) : kernels::Strips{};
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
  network_.backward(
      worker.values, worker.sensitivities, worker.gradient_rows, count, worker.scratch, [&](std::size_t i) {
        const bool wanted = std::ranges::any_of(graph.nodes()[i].inputs,
                                                [&](std::size_t v) { return layout_.needs_delta[v]; });
        return PassTimer(worker.track, PassPhase::Backward, i,
                         wanted ? static_cast<double>(count) * network_.op(i).flops().backward : 0);
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

OpAccumulate GraphPass::request(const Tile& tile, std::size_t node, std::size_t first, std::size_t count,
                                Worker& worker) {
  OpAccumulate a;
  a.input = activation(network_.graph().nodes()[node].inputs.front(), first, count, worker);
  a.samples = count;
  a.strip_begin = tile.strip_begin;
  a.strip_end = tile.strip_end;
  a.sums = sums_.data() + architecture_.parameters()[tile.tensor].offset;
  a.scratch = &worker.scratch;
  return a;
}

/// `last`: no seeds of these samples come after.
void GraphPass::add_tile(const Tile& tile, std::size_t rows, std::size_t seeds, bool last, Worker& worker) {
  const std::size_t node = tile.nodes.front(), lanes = network_.kernels().lanes;
  const GradientMatrix matrix = network_.op(node).gradient_matrix();
  const double columns =
      static_cast<double>(std::min(tile.strip_end * lanes, matrix.columns) - tile.strip_begin * lanes);
  const PassTimer timer(worker.track, PassPhase::Accumulate, node,
                        static_cast<double>(rows * seeds) * network_.op(node).flops().accumulate * columns /
                            static_cast<double>(matrix.columns));
  for (std::size_t chain = 0; chain < rows; chain += layout_.chain) {
    const std::size_t end = std::min(chain + layout_.chain, rows);
    add_chain(tile, chain, end, seeds, worker);
    if (last && sums_.ends_at(end)) fold_section(tile);
  }
}

void GraphPass::add_chain(const Tile& tile, std::size_t begin, std::size_t end, std::size_t seeds,
                          Worker& worker) {
  if (estimator_.kind == EstimatorKind::Batched) return add_summed(tile, begin, end - begin, 0, worker);
  if (tile.nodes.size() > 1) {
    for (std::size_t n = begin; n < end; ++n)
      for (std::size_t k = 0; k < seeds; ++k) add_summed(tile, n, 1, k, worker);
    return;
  }
  const std::size_t node = tile.nodes.front(), step = network_.op(node).accumulate_samples();
  for (std::size_t first = begin; first < end; first += step) {
    const std::size_t count = std::min(step, end - first);
    OpAccumulate a = request(tile, node, first, count, worker);
    worker.tile_deltas.clear();
    for (std::size_t k = 0; k < seeds; ++k)
      worker.tile_deltas.push_back(delta(node + 1, k, first, count, worker));
    a.deltas = worker.tile_deltas;
    network_.op(node).accumulate(a);
  }
}

void GraphPass::fold_section(const Tile& tile) {
  const std::size_t lanes = network_.kernels().lanes, first = tile.strip_begin * lanes;
  const GradientMatrix matrix = network_.op(tile.nodes.front()).gradient_matrix();
  const std::size_t offset = architecture_.parameters()[tile.tensor].offset + first;
  const std::size_t count = std::min(tile.strip_end * lanes, matrix.columns) - first;
  for (std::size_t r = 0; r < matrix.rows; ++r) sums_.fold(offset + r * matrix.columns, count);
}

/// The square of the sum of `count` samples' gradients over all layers that use the tensor; for batched, of
/// their mean.
void GraphPass::add_summed(const Tile& tile, std::size_t first, std::size_t count, std::size_t seed,
                           Worker& worker) {
  const std::size_t lanes = network_.kernels().lanes;
  const GradientMatrix matrix = network_.op(tile.nodes.front()).gradient_matrix();
  const std::size_t first_column = tile.strip_begin * lanes;
  const std::size_t columns = std::min(tile.strip_end * lanes, matrix.columns) - first_column;
  const std::size_t stride = round_up(columns, lanes);
  std::fill_n(worker.summed.data(), matrix.rows * stride, 0.f);
  for (const std::size_t node : tile.nodes) {
    const std::size_t step = network_.op(node).accumulate_samples();
    for (std::size_t n = first; n < first + count; n += step) {
      const std::size_t some = std::min(step, first + count - n);
      OpAccumulate a = request(tile, node, n, some, worker);
      const kernels::ConstStrips own = delta(node + 1, seed, n, some, worker);
      a.deltas = {&own, 1};
      network_.op(node).add_gradient(a, worker.summed.data(), stride);
    }
  }
  const double scale = estimator_.kind == EstimatorKind::Batched ? 1 / static_cast<double>(count) : 1;
  double* sums = sums_.data() + architecture_.parameters()[tile.tensor].offset + first_column;
  for (std::size_t r = 0; r < matrix.rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) {
      const double value = scale * static_cast<double>(worker.summed[r * stride + c]);
      sums[r * matrix.columns + c] += value * value;
    }
}

/// Elements [begin, end) of the small tensors, as one row of kept_gradients_ holds them.
void GraphPass::add_vectors(std::size_t begin, std::size_t end, std::size_t rows, bool last) {
  const bool batched = estimator_.kind == EstimatorKind::Batched;
  for (std::size_t t = 0; t < architecture_.parameters().size(); ++t) {
    if (layout_.is_matrix[t]) continue;
    const std::size_t offset = layout_.vector_offset[t], size = architecture_.parameters()[t].size;
    const std::size_t place = architecture_.parameters()[t].offset;
    double* sums = sums_.data() + place;
    for (std::size_t e = std::max(begin, offset); e < std::min(end, offset + size); ++e)
      for (std::size_t chain = 0; chain < rows; chain += layout_.chain) {
        const std::size_t count = std::min(layout_.chain, rows - chain);
        double sum = 0;
        for (std::size_t n = chain; n < chain + count; ++n)
          sum += static_cast<double>(kept_gradients_[n * layout_.vector_elements + e]);
        const double mean = sum / static_cast<double>(count);
        sums[e - offset] += batched ? mean * mean : sum;
        if (last && sums_.ends_at(chain + count)) sums_.fold(place + e - offset, 1);
      }
  }
}

AlignedBuffer<double> GraphPass::in_parameter_order(AlignedBuffer<double> sum) const {
  std::vector<double> row;
  for (const Tile& tile : tiles_) {
    if (tile.strip_begin) continue;  // one tile of each matrix
    const Op& op = network_.op(tile.nodes.front());
    const GradientMatrix matrix = op.gradient_matrix();
    double* values = sum.data() + architecture_.parameters()[tile.tensor].offset;
    for (std::size_t r = 0; r < matrix.rows; ++r) {
      row.assign(values + r * matrix.columns, values + (r + 1) * matrix.columns);
      for (std::size_t c = 0; c < matrix.columns; ++c) values[op.parameter_index(r, c)] = row[c];
    }
  }
  return sum;
}

}  // namespace fisherdiag
