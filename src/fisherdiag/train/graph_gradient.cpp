#include "fisherdiag/train/graph_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/base/non_finite_error.hpp"
#include "fisherdiag/likelihood/sequence_loss.hpp"

namespace fisherdiag {

namespace {

/// Strips of a gradient one task owns.
constexpr std::size_t kTileStrips = 6;

Estimator whole_batch(std::size_t max_batch) {
  Estimator estimator{EstimatorKind::Batched};
  estimator.batch_size = max_batch;
  return estimator;
}

constexpr auto kNotWatched = [](std::size_t) { return 0; };

}  // namespace

/// What one thread needs: values of a chunk that are not kept for the batch, and what layers use.
struct GraphGradient::Worker {
  Worker(const GraphNetwork& network, const GraphLayout& layout, std::size_t tile_floats)
      : scratch(network.scratch_floats(), network.kernels().lanes),
        gradients(layout.chunk * layout.vector_elements),
        logits(layout.chunk * network.graph().output().size()),
        residuals(logits.size()),
        tile(tile_floats) {
    const Graph& graph = network.graph();
    const std::size_t lanes = network.kernels().lanes;
    for (std::size_t v = 0; v <= graph.nodes().size(); ++v) {
      const std::size_t rows = layout.chunk * graph.value(v).positions();
      activations.emplace_back(rows, graph.value(v).features, lanes);
      const bool here = layout.needs_delta[v] && !layout.keeps_delta[v];
      deltas.push_back(here ? StripBuffer(rows, graph.value(v).features, lanes) : StripBuffer());
    }
  }

  std::vector<StripBuffer> activations, deltas;
  std::vector<kernels::Strips> values, sensitivities;
  OpScratch scratch;
  AlignedBuffer<float> gradients;  // [chunk, vector elements]
  AlignedBuffer<float> logits, residuals;
  AlignedBuffer<float> tile;
};

GraphGradient::GraphGradient(const Architecture& architecture, Likelihood likelihood, std::size_t max_batch,
                             const Context& context, OutputHeads heads)
    : architecture_(architecture),
      likelihood_(likelihood),
      context_(context),
      heads_(std::move(heads)),
      network_(architecture_, context),
      layout_(architecture_, whole_batch(max_batch), likelihood, network_.kernels().lanes),
      max_batch_(max_batch),
      losses_((max_batch + layout_.chunk - 1) / layout_.chunk),
      samples_(max_batch) {
  std::iota(samples_.begin(), samples_.end(), std::uint64_t{0});
  const std::size_t lanes = network_.kernels().lanes;
  make_tiles();
  std::size_t tile_floats = 0;
  for (const Tile& tile : tiles_)
    tile_floats = std::max(tile_floats, network_.op(tile.nodes.front()).gradient_matrix().rows *
                                            (tile.strip_end - tile.strip_begin) * lanes);
  for (int w = 0; w < context.threads(); ++w)
    workers_.push_back(std::make_unique<Worker>(network_, layout_, tile_floats));
}

GraphGradient::~GraphGradient() = default;

void GraphGradient::allocate_kept() {
  if (!kept_activations_.empty()) return;
  const Graph& graph = network_.graph();
  const std::size_t lanes = network_.kernels().lanes;
  for (std::size_t v = 0; v <= graph.nodes().size(); ++v) {
    const std::size_t rows = max_batch_ * graph.value(v).positions();
    const auto buffer = [&](bool kept) {
      return kept ? StripBuffer(rows, graph.value(v).features, lanes) : StripBuffer();
    };
    kept_activations_.push_back(buffer(layout_.keeps_activation[v]));
    kept_deltas_.push_back(buffer(layout_.keeps_delta[v]));
  }
  kept_gradients_ = AlignedBuffer<float>(max_batch_ * layout_.vector_elements);
}

void GraphGradient::make_tiles() {
  const Graph& graph = network_.graph();
  const std::size_t lanes = network_.kernels().lanes;
  for (std::size_t t = 0; t < graph.parameters().size(); ++t) {
    if (!layout_.is_matrix[t]) continue;
    std::vector<std::size_t> users;
    for (std::size_t i = 0; i < graph.nodes().size(); ++i)
      if (std::ranges::find(graph.nodes()[i].parameters, t) != graph.nodes()[i].parameters.end())
        users.push_back(i);
    require_same_matrices(network_, t, users);
    const GradientMatrix matrix = network_.op(users.front()).gradient_matrix();
    const std::size_t strips = (matrix.columns + lanes - 1) / lanes;
    for (std::size_t s = 0; s < strips; s += kTileStrips)
      tiles_.push_back({t, users, s, std::min(s + kTileStrips, strips)});
  }
}

template <class Body>
void GraphGradient::for_chunks(std::size_t batch, const Body& body) {
  context_.parallel_for((batch + layout_.chunk - 1) / layout_.chunk,
                        [&](std::size_t chunk, std::size_t worker) {
                          const FlushDenormals flush;
                          const std::size_t first = chunk * layout_.chunk;
                          body(first, std::min(layout_.chunk, batch - first), *workers_[worker]);
                        });
}

kernels::Strips GraphGradient::activation(std::size_t v, std::size_t first, std::size_t count,
                                          Worker& worker) {
  const std::size_t positions = network_.graph().value(v).positions();
  if (!kept_activations_.empty() && layout_.keeps_activation[v])
    return kept_activations_[v].rows(first * positions, count * positions);
  return worker.activations[v].rows(0, count * positions);
}

kernels::Strips GraphGradient::delta(std::size_t v, std::size_t first, std::size_t count, Worker& worker) {
  const std::size_t positions = network_.graph().value(v).positions();
  if (layout_.keeps_delta[v]) return kept_deltas_[v].rows(first * positions, count * positions);
  return layout_.needs_delta[v] ? worker.deltas[v].rows(0, count * positions) : kernels::Strips{};
}

void GraphGradient::forward_chunk(MatrixView<const float> inputs, std::size_t first, std::size_t count,
                                  Worker& worker) {
  worker.values.clear();
  for (std::size_t v = 0; v <= network_.nodes(); ++v)
    worker.values.push_back(activation(v, first, count, worker));
  network_.load({inputs.row(first), count, inputs.cols, inputs.stride}, worker.values[0]);
  network_.forward(worker.values, count, nullptr, worker.scratch, kNotWatched);
}

double GraphGradient::backward_chunk(MatrixView<const float> targets, std::size_t first, std::size_t count,
                                     Worker& worker) {
  const std::size_t outputs = network_.graph().output().features;
  const std::size_t positions = network_.graph().output().positions();
  const MatrixView<float> z{worker.logits.data(), count * positions, outputs};
  const MatrixView<float> residual{worker.residuals.data(), count * positions, outputs};
  network_.kernels().from_strips(worker.values.back(), z.data, outputs);
  const auto samples = std::span<const std::uint64_t>(samples_).subspan(first, count);
  const MatrixView<const float> rows(targets.row(first), count, targets.cols, targets.stride);
  const double loss =
      heads_.empty() ? sequence_nll_and_residuals(likelihood_, z, rows, samples, network_.kernels(), residual)
                     : heads_.nll_and_residuals(z, rows, samples, network_.kernels(), residual);
  worker.sensitivities.clear();
  for (std::size_t v = 0; v <= network_.nodes(); ++v)
    worker.sensitivities.push_back(delta(v, first, count, worker));
  network_.kernels().to_strips(residual.data, outputs, worker.sensitivities.back(), {});
  std::fill_n(kept_gradients_.data() + first * layout_.vector_elements, count * layout_.vector_elements, 0.f);
  std::vector<GradientRows> gradients(architecture_.parameters().size());
  for (std::size_t t = 0; t < gradients.size(); ++t)
    if (!layout_.is_matrix[t])
      gradients[t] = {kept_gradients_.data() + first * layout_.vector_elements + layout_.vector_offset[t],
                      layout_.vector_elements};
  network_.backward(worker.values, worker.sensitivities, gradients, count, worker.scratch, kNotWatched);
  return loss;
}

void GraphGradient::matrix_gradient(const Tile& tile, std::size_t batch, std::span<float> gradient,
                                    Worker& worker) {
  const std::size_t lanes = network_.kernels().lanes;
  const Op& first_op = network_.op(tile.nodes.front());
  const GradientMatrix matrix = first_op.gradient_matrix();
  const std::size_t begin = tile.strip_begin * lanes, end = std::min(tile.strip_end * lanes, matrix.columns);
  const std::size_t stride = (end - begin + lanes - 1) / lanes * lanes;
  std::fill_n(worker.tile.data(), matrix.rows * stride, 0.f);
  for (const std::size_t node : tile.nodes) {
    const Op& op = network_.op(node);
    const std::size_t step = op.accumulate_samples();
    for (std::size_t n = 0; n < batch; n += step) {
      const std::size_t count = std::min(step, batch - n);
      const kernels::ConstStrips own = delta(node + 1, n, count, worker);
      OpAccumulate a;
      a.input = activation(network_.graph().nodes()[node].inputs.front(), n, count, worker);
      a.deltas = {&own, 1};
      a.samples = count;
      a.strip_begin = tile.strip_begin;
      a.strip_end = tile.strip_end;
      a.scratch = &worker.scratch;
      op.add_gradient(a, worker.tile.data(), stride);
    }
  }
  const auto scale = static_cast<float>(1 / static_cast<double>(batch));
  float* to = gradient.data() + architecture_.parameters()[tile.tensor].offset;
  for (std::size_t r = 0; r < matrix.rows; ++r)
    for (std::size_t c = begin; c < end; ++c)
      to[first_op.parameter_index(r, c)] = scale * worker.tile[r * stride + c - begin];
}

void GraphGradient::vector_gradient(std::size_t tensor, std::size_t batch, std::span<float> gradient) {
  const ParameterTensor& shape = architecture_.parameters()[tensor];
  std::vector<double> sums(shape.size);
  for (std::size_t n = 0; n < batch; ++n) {
    const float* row = kept_gradients_.data() + n * layout_.vector_elements + layout_.vector_offset[tensor];
    for (std::size_t e = 0; e < shape.size; ++e) sums[e] += static_cast<double>(row[e]);
  }
  for (std::size_t e = 0; e < shape.size; ++e)
    gradient[shape.offset + e] = static_cast<float>(sums[e] / static_cast<double>(batch));
}

double GraphGradient::compute(const Network& network, MatrixView<const float> inputs,
                              MatrixView<const float> targets, std::span<float> gradient) {
  allocate_kept();
  network_.pack(network, context_);
  for_chunks(inputs.rows, [&](std::size_t first, std::size_t count, Worker& worker) {
    forward_chunk(inputs, first, count, worker);
    losses_[first / layout_.chunk] = backward_chunk(targets, first, count, worker);
  });
  const std::size_t tensors = architecture_.parameters().size();
  context_.parallel_for(tiles_.size() + tensors, [&](std::size_t task, std::size_t worker) {
    const FlushDenormals flush;
    if (task < tiles_.size())
      matrix_gradient(tiles_[task], inputs.rows, gradient, *workers_[worker]);
    else if (!layout_.is_matrix[task - tiles_.size()])
      vector_gradient(task - tiles_.size(), inputs.rows, gradient);
  });
  const auto chunks = static_cast<std::ptrdiff_t>((inputs.rows + layout_.chunk - 1) / layout_.chunk);
  const double loss =
      std::accumulate(losses_.begin(), losses_.begin() + chunks, 0.0) / static_cast<double>(inputs.rows);
  if (!std::isfinite(loss)) throw NonFiniteError("the loss is not finite");
  return loss;
}

void GraphGradient::name_rows(std::span<const std::uint64_t> samples) {
  std::ranges::copy(samples, samples_.begin());
}

void GraphGradient::forward(const Network& network, MatrixView<const float> inputs,
                            MatrixView<float> outputs) {
  network_.pack(network, context_);
  for_chunks(inputs.rows, [&](std::size_t first, std::size_t count, Worker& worker) {
    forward_chunk(inputs, first, count, worker);
    const ValueShape& shape = network_.graph().output();
    network_.kernels().from_strips(worker.values.back(), outputs.row(first * shape.positions()),
                                   outputs.stride);
  });
}

}  // namespace fisherdiag
