#include "fisherdiag/train/output_heads.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

namespace {

std::size_t checked_label(MatrixView<const float> labels, std::size_t row, std::uint64_t sample,
                          std::size_t outputs) {
  const float label = labels(row, 0);
  if (!(label >= 0 && label < static_cast<float>(outputs)) ||
      label != static_cast<float>(static_cast<std::size_t>(label)))
    throw DataError("sample " + std::to_string(sample) + ": label " + std::to_string(label) +
                    " is not a class: labels are whole numbers from 0 to " + std::to_string(outputs - 1));
  return static_cast<std::size_t>(label);
}

/// The rows of a block that belong to one head, with that head's outputs only.
struct HeadRows {
  std::vector<std::size_t> rows;
  std::vector<std::uint64_t> samples;
  std::vector<float> labels;

  void add(std::size_t row, std::uint64_t sample, std::size_t position) {
    rows.push_back(row);
    samples.push_back(sample);
    labels.push_back(static_cast<float>(position));
  }
};

double head_residuals(const HeadRows& head, const std::vector<std::size_t>& outputs,
                      MatrixView<const float> logits, const kernels::KernelTable& kernels,
                      MatrixView<float> residuals) {
  const std::size_t rows = head.rows.size(), columns = outputs.size();
  std::vector<float> z(rows * columns), residual(rows * columns);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) z[r * columns + c] = logits(head.rows[r], outputs[c]);
  const double nll =
      nll_and_residuals(Likelihood::Categorical, {z.data(), rows, columns}, {head.labels.data(), rows, 1},
                        head.samples, kernels, {residual.data(), rows, columns});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) residuals(head.rows[r], outputs[c]) = residual[r * columns + c];
  return nll;
}

/// Tensors of the layer that gives the outputs, each with one row for each of them. Of a graph it must be a
/// linear layer with tensors of its own.
std::vector<std::size_t> output_tensors(const Architecture& architecture) {
  const Graph* graph = architecture.graph();
  if (!graph) return {architecture.parameters().size() - 2, architecture.parameters().size() - 1};
  const GraphNode& last = graph->nodes().back();
  for (const std::size_t t : last.parameters)
    if (graph->uses(t) > 1)
      throw UnsupportedError("layer '" + last.layer.name + "' shares '" + graph->parameters()[t].name +
                             "'; outputs of their own heads need a last layer with tensors of its own");
  if (last.layer.type != "linear")
    throw UnsupportedError("layer '" + last.layer.name + "' has type '" + last.layer.type +
                           "'; outputs of their own heads need a linear layer as the last one");
  return last.parameters;
}

/// The same architecture with `count` outputs.
Architecture with_outputs(const Architecture& architecture, std::size_t count) {
  const Graph* graph = architecture.graph();
  if (!graph) {
    std::vector<LinearLayer> layers = architecture.layers();
    layers.back().outputs = count;
    return Architecture(std::move(layers));
  }
  std::vector<LayerDescription> layers;
  for (const GraphNode& node : graph->nodes()) layers.push_back(node.layer);
  layers.back().fields["out"] = std::vector<std::size_t>{count};
  return Architecture(Graph(graph->input(), std::move(layers)));
}

/// Calls move(offset in the whole, offset in the restricted, count) for every run of parameters both have.
template <class Move>
void for_shared_runs(const Architecture& architecture, const std::vector<std::size_t>& outputs,
                     const Move& move) {
  const std::vector<std::size_t> last = output_tensors(architecture);
  std::size_t part = 0;
  for (std::size_t t = 0; t < architecture.parameters().size(); ++t) {
    const ParameterTensor& tensor = architecture.parameters()[t];
    if (std::ranges::find(last, t) == last.end()) {
      move(tensor.offset, part, tensor.size);
      part += tensor.size;
      continue;
    }
    const std::size_t row = tensor.size / architecture.outputs();
    for (const std::size_t output : outputs) {
      move(tensor.offset + output * row, part, row);
      part += row;
    }
  }
}

}  // namespace

OutputHeads::OutputHeads(const std::vector<std::vector<std::size_t>>& heads, std::size_t outputs)
    : heads_(heads), head_of_(outputs, heads.size()), position_(outputs) {
  for (std::size_t h = 0; h < heads_.size(); ++h) {
    if (heads_[h].size() < 2)
      throw ArgumentError("head " + std::to_string(h) + " has " + std::to_string(heads_[h].size()) +
                          " outputs; a softmax needs at least two");
    for (std::size_t p = 0; p < heads_[h].size(); ++p) {
      const std::size_t output = heads_[h][p];
      if (output >= outputs || head_of_[output] != heads_.size())
        throw ArgumentError("output " + std::to_string(output) + " of head " + std::to_string(h) +
                            (output >= outputs ? " does not exist" : " is in another head too"));
      head_of_[output] = h;
      position_[output] = p;
    }
  }
  const auto missing = std::ranges::find(head_of_, heads_.size());
  if (missing != head_of_.end())
    throw ArgumentError("output " + std::to_string(missing - head_of_.begin()) + " is in no head");
}

double OutputHeads::nll_and_residuals(MatrixView<const float> logits, MatrixView<const float> labels,
                                      std::span<const std::uint64_t> samples,
                                      const kernels::KernelTable& kernels,
                                      MatrixView<float> residuals) const {
  if (empty())
    return fisherdiag::nll_and_residuals(Likelihood::Categorical, logits, labels, samples, kernels,
                                         residuals);
  std::vector<HeadRows> parts(heads_.size());
  for (std::size_t r = 0; r < logits.rows; ++r) {
    const std::size_t label = checked_label(labels, r, samples[r], head_of_.size());
    parts[head_of_[label]].add(r, samples[r], position_[label]);
    std::fill_n(residuals.row(r), residuals.cols, 0.0f);
  }
  double nll = 0;
  for (std::size_t h = 0; h < parts.size(); ++h)
    if (!parts[h].rows.empty()) nll += head_residuals(parts[h], heads_[h], logits, kernels, residuals);
  return nll;
}

std::size_t OutputHeads::predict(const float* logits, std::size_t label) const {
  const std::vector<std::size_t>& outputs = heads_[head_of_[label]];
  std::size_t best = outputs.front();
  for (const std::size_t output : outputs)
    if (logits[output] > logits[best] || (logits[output] == logits[best] && output < best)) best = output;
  return best;
}

Network restrict_outputs(const Network& network, const std::vector<std::size_t>& outputs) {
  const std::size_t all = network.architecture().outputs();
  for (const std::size_t output : outputs)
    if (output >= all)
      throw ArgumentError("output " + std::to_string(output) + " does not exist: the network has " +
                          std::to_string(all));
  output_tensors(network.architecture());  // refuses what cannot be cut
  Network restricted(with_outputs(network.architecture(), outputs.size()));
  std::ranges::copy(network.buffers(), restricted.buffers().begin());
  for_shared_runs(network.architecture(), outputs,
                  [&](std::size_t whole, std::size_t part, std::size_t count) {
                    std::copy_n(network.parameters().begin() + static_cast<std::ptrdiff_t>(whole), count,
                                restricted.parameters().begin() + static_cast<std::ptrdiff_t>(part));
                  });
  return restricted;
}

void spread_outputs(const Architecture& architecture, const std::vector<std::size_t>& outputs,
                    std::span<const float> restricted, std::span<float> values) {
  std::ranges::fill(values, 0.0f);
  for_shared_runs(architecture, outputs, [&](std::size_t whole, std::size_t part, std::size_t count) {
    std::copy_n(restricted.begin() + static_cast<std::ptrdiff_t>(part), count,
                values.begin() + static_cast<std::ptrdiff_t>(whole));
  });
}

}  // namespace fisherdiag
