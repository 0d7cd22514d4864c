#include "fisherdiag/train/batch_gradient.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/base/non_finite_error.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/packed_network.hpp"
#include "fisherdiag/nn/skip_buffer.hpp"
#include "fisherdiag/train/graph_gradient.hpp"

namespace fisherdiag {

namespace {

/// Samples whose losses are added up at a time, whatever the number of threads.
constexpr std::size_t kLossRows = 32;
/// Samples per task of the row phase at most: enough that a packed piece of the weights is used often.
constexpr std::size_t kMostTaskRows = 128;

/// Samples per task: a batch is small, so every thread gets an equal part of it.
std::size_t task_rows(std::size_t batch, int threads) {
  const std::size_t part = batch / static_cast<std::size_t>(threads) / kLossRows * kLossRows;
  return std::clamp(part, kLossRows, kMostTaskRows);
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Tile {
  std::size_t layer;
  kernels::OuterRange range;
};

/// Rows and columns of such a rectangle: its gradient and six arrays of an optimiser and a penalty fit the
/// second-level cache beside the operands.
constexpr std::size_t kTileRows = 64, kTileColumns = 384;

/// Rectangles of every layer's weight gradient.
std::vector<Tile> make_tiles(const Architecture& architecture, std::size_t lanes) {
  std::vector<Tile> tiles;
  const std::size_t strip_step = kTileColumns / lanes;
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& layer = architecture.layers()[l];
    const std::size_t strips = (layer.inputs + lanes - 1) / lanes;
    for (std::size_t r = 0; r < layer.outputs; r += kTileRows)
      for (std::size_t s = 0; s < strips; s += strip_step)
        tiles.push_back(
            {l, {r, std::min(r + kTileRows, layer.outputs), s, std::min(s + strip_step, strips)}});
  }
  return tiles;
}

}  // namespace

struct BatchGradient::State {
  State(const Architecture& architecture_, Likelihood likelihood_, std::size_t max_batch,
        const Context& context_, OutputHeads heads_)
      : architecture(architecture_),
        likelihood(likelihood_),
        heads(std::move(heads_)),
        context(context_),
        packed(architecture_, context_),
        kernels(packed.kernels()),
        tiles(make_tiles(architecture_, kernels.lanes)),
        rows_per_task(task_rows(max_batch, context_.threads())),
        losses((max_batch + kLossRows - 1) / kLossRows),
        samples(max_batch) {
    activations.emplace_back(max_batch, architecture.inputs(), kernels.lanes);
    for (const LinearLayer& layer : architecture.layers()) {
      activations.emplace_back(max_batch, layer.outputs, kernels.lanes);
      deltas.emplace_back(max_batch, layer.outputs, kernels.lanes);
    }
    for (int worker = 0; worker < context.threads(); ++worker) {
      skip.emplace_back(architecture, kernels.lanes);
      tile_gradients.emplace_back(kTileRows * kTileColumns);
    }
    step_seconds.resize(tile_gradients.size());
    logits = AlignedBuffer<float>(max_batch * architecture.outputs());
    residuals = AlignedBuffer<float>(max_batch * architecture.outputs());
    std::iota(samples.begin(), samples.end(), std::uint64_t{0});
  }

  void forward(MatrixView<const float> inputs, std::size_t first, std::size_t count, std::size_t worker) {
    kernels.to_strips(inputs.row(first), inputs.stride, activations[0].rows(first, count), {});
    for (std::size_t l = 0; l < deltas.size(); ++l)
      packed.forward(l, activations[l].rows(first, count), activations[l + 1].rows(first, count), {},
                     skip[worker].scratch());
  }

  /// The residuals of rows [first, first + count) and their loss.
  double residuals_of(MatrixView<const float> targets, std::size_t first, std::size_t count) {
    const std::size_t outputs = architecture.outputs();
    const MatrixView<float> z{logits.data() + first * outputs, count, outputs};
    const MatrixView<float> residual{residuals.data() + first * outputs, count, outputs};
    kernels.from_strips(activations.back().rows(first, count), z.data, outputs);
    const MatrixView<const float> rows(targets.row(first), count, targets.cols, targets.stride);
    const auto names = std::span<const std::uint64_t>(samples).subspan(first, count);
    const double loss = heads.empty() ? nll_and_residuals(likelihood, z, rows, names, kernels, residual)
                                      : heads.nll_and_residuals(z, rows, names, kernels, residual);
    kernels.to_strips(residual.data, outputs, deltas.back().rows(first, count), {});
    return loss;
  }

  void backward(MatrixView<const float> targets, std::size_t first, std::size_t count, std::size_t worker) {
    for (std::size_t row = first; row < first + count; row += kLossRows)
      losses[row / kLossRows] = residuals_of(targets, row, std::min(kLossRows, first + count - row));
    for (std::size_t l = deltas.size() - 1; l > 0; --l)
      packed.backward(l, deltas[l].rows(first, count), activations[l].rows(first, padded(count)),
                      deltas[l - 1].rows(first, count), {}, false, skip[worker].scratch());
  }

  /// body(first row, rows, worker) for every task of a batch.
  template <class Body>
  void for_tasks(std::size_t batch, const Body& body) {
    const std::size_t tasks = (batch + rows_per_task - 1) / rows_per_task;
    context.parallel_for(tasks, [&](std::size_t task, std::size_t worker) {
      const FlushDenormals flush;
      const std::size_t first = task * rows_per_task;
      body(first, std::min(rows_per_task, batch - first), worker);
    });
  }

  static std::size_t padded(std::size_t rows) {
    return (rows + kernels::kRowTile - 1) / kernels::kRowTile * kernels::kRowTile;
  }

  /// The gradient of a tile's weights, row-major, to `target`; `alongside` is at the tile's first weight.
  void weight_gradient(const Tile& tile, std::size_t batch, float* target, std::size_t stride,
                       const kernels::Alongside& alongside, std::size_t worker) {
    const FlushDenormals flush;
    const auto [row_begin, row_end, strip_begin, strip_end] = tile.range;
    const kernels::ConstStrips right = activations[tile.layer].rows(0, batch);
    const std::size_t first_column = strip_begin * kernels.lanes;
    kernels.outer_skip(
        outputs_of(tile, batch),
        {right.data + strip_begin * right.stride, batch, right.cols - first_column, right.stride},
        {0, row_end - row_begin, 0, strip_end - strip_begin}, scale_of(batch), target, stride,
        skip[worker].scratch(), alongside);
  }

  /// The sensitivities of a tile's rows.
  kernels::ConstStrips outputs_of(const Tile& tile, std::size_t batch) {
    const kernels::ConstStrips left = deltas[tile.layer].rows(0, batch);
    const std::size_t begin = tile.range.row_begin;
    return {left.data + begin / kernels.lanes * left.stride, batch, tile.range.row_end - begin, left.stride};
  }

  /// The gradient of the biases of a tile's rows.
  void bias_gradient(const Tile& tile, std::size_t batch, float* target) {
    const FlushDenormals flush;
    double sums[kTileRows] = {};
    kernels.column_sums(outputs_of(tile, batch), false, sums);
    for (std::size_t o = 0; o < tile.range.row_end - tile.range.row_begin; ++o)
      target[o] = static_cast<float>(sums[o] * scale_of(batch));
  }

  static float scale_of(std::size_t batch) { return static_cast<float>(1.0 / static_cast<double>(batch)); }

  std::size_t columns_of(const Tile& tile) const {
    const std::size_t inputs = architecture.layers()[tile.layer].inputs;
    return std::min(tile.range.strip_end * kernels.lanes, inputs) - tile.range.strip_begin * kernels.lanes;
  }
  std::size_t first_weight(const Tile& tile) const {
    return architecture.weight_offset(tile.layer) +
           tile.range.row_begin * architecture.layers()[tile.layer].inputs +
           tile.range.strip_begin * kernels.lanes;
  }
  std::size_t first_bias(const Tile& tile) const {
    return architecture.bias_offset(tile.layer) + tile.range.row_begin;
  }

  /// body(tile, worker) for every tile, in parallel.
  template <class Body>
  void for_tiles(const Body& body) {
    context.parallel_for(tiles.size(),
                         [&](std::size_t tile, std::size_t worker) { body(tiles[tile], worker); });
  }

  /// Everything of a batch but its weights' gradient; returns the loss.
  double forward_and_backward(const Network& network, MatrixView<const float> inputs,
                              MatrixView<const float> targets) {
    packed.pack(network, context);
    for_tasks(inputs.rows, [&](std::size_t first, std::size_t count, std::size_t worker) {
      forward(inputs, first, count, worker);
      backward(targets, first, count, worker);
    });
    const auto parts = static_cast<std::ptrdiff_t>((inputs.rows + kLossRows - 1) / kLossRows);
    const double loss =
        std::accumulate(losses.begin(), losses.begin() + parts, 0.0) / static_cast<double>(inputs.rows);
    if (!std::isfinite(loss)) throw NonFiniteError("the loss is not finite");
    return loss;
  }

  /// The gradient of one tile and the step along it.
  void step_tile(const Tile& tile, std::size_t batch, const OptimizerStep& step, std::size_t worker) {
    const std::size_t inputs = architecture.layers()[tile.layer].inputs, columns = columns_of(tile);
    float* gradient = tile_gradients[worker].data();
    kernels::Alongside alongside = step.arrays(first_weight(tile));
    alongside.stride = inputs;
    weight_gradient(tile, batch, gradient, kTileColumns, alongside, worker);
    const auto start = Clock::now();
    for (std::size_t o = 0; o < tile.range.row_end - tile.range.row_begin; ++o)
      step.apply(first_weight(tile) + o * inputs, {gradient + o * kTileColumns, columns});
    if (tile.range.strip_begin == 0) {
      bias_gradient(tile, batch, gradient);
      step.apply(first_bias(tile), {gradient, tile.range.row_end - tile.range.row_begin});
    }
    step_seconds[worker] += seconds_since(start);
  }

  Architecture architecture;
  Likelihood likelihood;
  OutputHeads heads;
  const Context& context;
  PackedNetwork packed;
  const kernels::KernelTable& kernels;
  std::vector<Tile> tiles;
  std::vector<StripBuffer> activations;  // [0] the inputs, [l + 1] what layer l puts out
  std::vector<StripBuffer> deltas;       // d nll / d (layer l's output before its nonlinearity)
  AlignedBuffer<float> logits, residuals;
  std::size_t rows_per_task;
  std::vector<SkipBuffer> skip;  // a thread each, as the next two
  std::vector<AlignedBuffer<float>> tile_gradients;
  std::vector<double> step_seconds;
  std::vector<double> losses;
  std::vector<std::uint64_t> samples;
};

BatchGradient::BatchGradient(const Architecture& architecture, Likelihood likelihood, std::size_t max_batch,
                             const Context& context, OutputHeads heads) {
  if (!heads.empty() && likelihood != Likelihood::Categorical)
    throw ArgumentError("heads are for the categorical likelihood");
  if (!heads.empty()) require_one_position(architecture, "training with several heads");
  if (architecture.graph())
    graph_ = std::make_unique<GraphGradient>(architecture, likelihood, max_batch, context, std::move(heads));
  else
    state_ = std::make_unique<State>(architecture, likelihood, max_batch, context, std::move(heads));
}
BatchGradient::~BatchGradient() = default;
BatchGradient::BatchGradient(BatchGradient&&) noexcept = default;

double BatchGradient::compute(const Network& network, MatrixView<const float> inputs,
                              MatrixView<const float> targets, std::span<float> gradient) {
  if (graph_) return graph_->compute(network, inputs, targets, gradient);
  State& s = *state_;
  const double loss = s.forward_and_backward(network, inputs, targets);
  s.for_tiles([&](const Tile& tile, std::size_t worker) {
    s.weight_gradient(tile, inputs.rows, gradient.data() + s.first_weight(tile),
                      s.architecture.layers()[tile.layer].inputs, {}, worker);
    if (tile.range.strip_begin == 0) s.bias_gradient(tile, inputs.rows, gradient.data() + s.first_bias(tile));
  });
  return loss;
}

double BatchGradient::step(const Network& network, MatrixView<const float> inputs,
                           MatrixView<const float> targets, const std::function<OptimizerStep()>& begin,
                           double& step_seconds) {
  if (graph_) return step_graph(network, inputs, targets, begin, step_seconds);
  State& s = *state_;
  const double loss = s.forward_and_backward(network, inputs, targets);
  const OptimizerStep step = begin();
  s.step_seconds.assign(s.step_seconds.size(), 0);
  s.for_tiles([&](const Tile& tile, std::size_t worker) { s.step_tile(tile, inputs.rows, step, worker); });
  step_seconds += std::accumulate(s.step_seconds.begin(), s.step_seconds.end(), 0.0) /
                  static_cast<double>(s.step_seconds.size());
  return loss;
}

double BatchGradient::step_graph(const Network& network, MatrixView<const float> inputs,
                                 MatrixView<const float> targets, const std::function<OptimizerStep()>& begin,
                                 double& step_seconds) {
  if (graph_gradient_.empty()) graph_gradient_ = AlignedBuffer<float>(network.parameters().size());
  const double loss = graph_->compute(network, inputs, targets, graph_gradient_);
  const auto start = Clock::now();
  begin().apply_all(graph_gradient_, graph_->context());
  step_seconds += seconds_since(start);
  return loss;
}

void BatchGradient::name_rows(std::span<const std::uint64_t> samples) {
  if (graph_) return graph_->name_rows(samples);
  std::ranges::copy(samples, state_->samples.begin());
}

void BatchGradient::forward(const Network& network, MatrixView<const float> inputs,
                            MatrixView<float> outputs) {
  if (graph_) return graph_->forward(network, inputs, outputs);
  State& s = *state_;
  s.packed.pack(network, s.context);
  s.for_tasks(inputs.rows, [&](std::size_t first, std::size_t count, std::size_t worker) {
    s.forward(inputs, first, count, worker);
    s.kernels.from_strips(s.activations.back().rows(first, count), outputs.row(first), outputs.stride);
  });
}

}  // namespace fisherdiag
