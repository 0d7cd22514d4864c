#include "fisher/graph_baseline.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fisher/baselines.hpp"
#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/graph_network.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag::bench {

namespace {

/// Samples one task takes.
constexpr std::size_t kChunk = 4;

/// One thread's samples on their way through the graph.
class Chunk {
 public:
  explicit Chunk(const GraphNetwork& network)
      : network_(network),
        lanes_(network.kernels().lanes),
        scratch_(network.scratch_floats(), lanes_),
        logits_(kChunk * network.graph().output().size()),
        residuals_(logits_.size()) {
    for (std::size_t v = 0; v <= network.nodes(); ++v) {
      const ValueShape& shape = network.graph().value(v);
      values_.emplace_back(kChunk * shape.positions(), shape.features, lanes_);
      deltas_.emplace_back(kChunk * shape.positions(), shape.features, lanes_);
    }
    for (std::size_t i = 0; i < network.nodes(); ++i) {
      order_.emplace_back();
      if (!network.op(i).has_matrix()) continue;
      const GradientMatrix matrix = network.op(i).gradient_matrix();
      for (std::size_t r = 0; r < matrix.rows; ++r)
        for (std::size_t c = 0; c < matrix.columns; ++c)
          order_.back().push_back(static_cast<std::uint32_t>(network.op(i).parameter_index(r, c)));
    }
  }

  /// The samples' gradients, [rows, parameters].
  void gradients(MatrixView<const float> inputs, MatrixView<const float> labels, MatrixView<float> result) {
    const Graph& graph = network_.graph();
    const std::size_t n = inputs.rows, outputs = graph.output().size();
    std::vector<kernels::Strips> values = rows_of(values_, n), deltas = rows_of(deltas_, n);
    network_.load(inputs, values[0]);
    network_.forward(values, n, nullptr, scratch_, not_watched);
    network_.kernels().from_strips(values.back(), logits_.data(), outputs);
    const std::vector<std::uint64_t> samples(n);
    nll_and_residuals(Likelihood::Categorical, {logits_.data(), n, outputs}, labels, samples,
                      network_.kernels(), {residuals_.data(), n, outputs});
    network_.kernels().to_strips(residuals_.data(), outputs, deltas.back(), {});
    std::vector<GradientRows> vectors;
    for (const ParameterTensor& tensor : graph.parameters())
      vectors.push_back({result.data + tensor.offset, result.stride});
    for (std::size_t r = 0; r < n; ++r) std::fill_n(result.row(r), graph.parameter_count(), 0.f);
    for (std::size_t i = 0; i < network_.nodes(); ++i)
      if (network_.op(i).has_matrix()) vectors[graph.nodes()[i].parameters.front()].data = nullptr;
    deltas[0] = {};
    network_.backward(values, deltas, vectors, n, scratch_, not_watched);
    for (std::size_t i = 0; i < network_.nodes(); ++i)
      if (network_.op(i).has_matrix())
        for (std::size_t r = 0; r < n; ++r) add_matrix(i, r, result.row(r));
  }

 private:
  static int not_watched(std::size_t) { return 0; }

  std::vector<kernels::Strips> rows_of(std::vector<StripBuffer>& buffers, std::size_t samples) {
    std::vector<kernels::Strips> views;
    for (std::size_t v = 0; v < buffers.size(); ++v)
      views.push_back(buffers[v].rows(0, samples * network_.graph().value(v).positions()));
    return views;
  }

  kernels::ConstStrips sample(std::vector<StripBuffer>& buffers, std::size_t v, std::size_t n) {
    const std::size_t positions = network_.graph().value(v).positions();
    return buffers[v].rows(n * positions, positions);
  }

  void add_matrix(std::size_t node, std::size_t n, float* gradient) {
    const GraphNode& place = network_.graph().nodes()[node];
    const Op& op = network_.op(node);
    const GradientMatrix matrix = op.gradient_matrix();
    const std::size_t strips = (matrix.columns + lanes_ - 1) / lanes_, stride = strips * lanes_;
    if (matrix_.size() < matrix.rows * stride) matrix_ = AlignedBuffer<float>(matrix.rows * stride);
    std::fill_n(matrix_.data(), matrix.rows * stride, 0.f);
    const kernels::ConstStrips delta = sample(deltas_, node + 1, n);
    OpAccumulate a;
    a.input = sample(values_, place.inputs.front(), n);
    a.deltas = {&delta, 1};
    a.samples = 1;
    a.strip_end = strips;
    a.scratch = &scratch_;
    op.add_gradient(a, matrix_.data(), stride);
    float* to = gradient + network_.graph().parameters()[place.parameters.front()].offset;
    const std::vector<std::uint32_t>& order = order_[node];
    for (std::size_t r = 0; r < matrix.rows; ++r)
      for (std::size_t c = 0; c < matrix.columns; ++c)
        to[order[r * matrix.columns + c]] += matrix_[r * stride + c];
  }

  const GraphNetwork& network_;
  std::size_t lanes_;
  std::vector<StripBuffer> values_, deltas_;
  OpScratch scratch_;
  AlignedBuffer<float> logits_, residuals_, matrix_;
  std::vector<std::vector<std::uint32_t>> order_;  // [node] place in the parameter of the matrix's elements
};

}  // namespace

void materialized_graph_fisher(const Network& network, MatrixView<const float> inputs,
                               MatrixView<const float> labels, const Context& context,
                               std::span<float> gradients, std::span<double> sum) {
  GraphNetwork packed(network.architecture(), context);
  packed.pack(network, context);
  std::vector<Chunk> workers;
  for (int w = 0; w < context.threads(); ++w) workers.emplace_back(packed);
  const std::size_t parameters = sum.size(), batch = gradients.size() / parameters;
  for (std::size_t first = 0; first < inputs.rows; first += batch) {
    const std::size_t n = std::min(batch, inputs.rows - first);
    context.parallel_for((n + kChunk - 1) / kChunk, [&](std::size_t chunk, std::size_t worker) {
      const FlushDenormals flush;
      const std::size_t begin = chunk * kChunk, count = std::min(kChunk, n - begin);
      workers[worker].gradients({inputs.row(first + begin), count, inputs.cols},
                                {labels.row(first + begin), count, 1},
                                {gradients.data() + begin * parameters, count, parameters});
    });
    add_squares(gradients, n, context, sum);
  }
}

}  // namespace fisherdiag::bench
