#include "fisherdiag/nn/graph_network.hpp"

#include <algorithm>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

/// Inputs and tensors of a layer at most.
constexpr std::size_t kMostInputs = 8, kMostParameters = 8;

/// Both layers sum the same elements at the same places.
bool same_matrix(const Op& a, const Op& b) {
  if (!a.has_matrix() || !b.has_matrix() || a.gradient_matrix() != b.gradient_matrix()) return false;
  for (std::size_t c = 0; c < a.gradient_matrix().columns; ++c)
    if (a.parameter_index(0, c) != b.parameter_index(0, c)) return false;
  return true;
}

}  // namespace

std::unique_ptr<Op> make_node_op(const Graph& graph, std::size_t node) {
  std::vector<ValueShape> shapes;
  for (const std::size_t v : graph.nodes()[node].inputs) shapes.push_back(graph.value(v));
  return make_op(graph.nodes()[node].layer, shapes);
}

void require_same_matrices(const GraphNetwork& network, std::size_t tensor,
                           const std::vector<std::size_t>& users) {
  const Graph& graph = network.graph();
  for (const std::size_t i : users)
    if (!same_matrix(network.op(users.front()), network.op(i)) ||
        graph.nodes()[i].parameters.front() != tensor)
      throw UnsupportedError("layer '" + graph.nodes()[i].layer.name + "' shares '" +
                             graph.parameters()[tensor].name +
                             "' with a layer of another kind; give it a tensor of its own");
}

GraphNetwork::GraphNetwork(const Architecture& architecture, const Context& context)
    : graph_(*architecture.graph()), kernels_(kernels::kernel_table(context.isa())) {
  for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
    ops_.push_back(make_node_op(graph_, i));
    ops_.back()->prepare(kernels_);
  }
  tails_ = find_norm_tails(graph_);
  tail_at_.resize(ops_.size());
  const std::vector<std::size_t> turns = turns_of_layers(graph_, tails_);
  for (std::size_t i = 0; i < ops_.size(); ++i) skipped_.push_back(turns[i] != i);
  for (const NormTail& tail : tails_) tail_at_[tail.last()] = &tail;
  for (std::size_t i = 0; i < ops_.size(); ++i) leaves_slope_.push_back(can_leave_slope(i));
}

/// Nothing else takes its input, and the layer that puts it out does not look at it on the way back.
bool GraphNetwork::can_leave_slope(std::size_t i) const {
  if (!ops_[i]->has_slope() || graph_.nodes()[i].inputs[0] == 0) return false;
  const std::size_t input = graph_.nodes()[i].inputs[0];
  return ops_[input - 1]->has_matrix() && only_user(graph_, input) == i;
}

void GraphNetwork::pack(const Network& network, const Context& context) {
  context.parallel_for(ops_.size(), [&](std::size_t i, std::size_t) {
    std::vector<std::span<const float>> parameters;
    for (const std::size_t t : graph_.nodes()[i].parameters) {
      const ParameterTensor& tensor = graph_.parameters()[t];
      parameters.push_back(network.parameters().subspan(tensor.offset, tensor.size));
    }
    for (const std::size_t t : graph_.nodes()[i].buffers) {
      const ParameterTensor& tensor = graph_.buffers()[t];
      parameters.push_back(network.buffers().subspan(tensor.offset, tensor.size));
    }
    if (!parameters.empty()) ops_[i]->pack(parameters);
  });
}

void GraphNetwork::load(MatrixView<const float> inputs, const kernels::Strips& value) const {
  const ValueShape& shape = graph_.input();
  const std::size_t positions = shape.positions(), lanes = kernels_.lanes;
  const std::size_t feature_step = shape.channels_first ? positions : 1;
  const std::size_t position_step = shape.channels_first ? 1 : shape.features;
  for (std::size_t n = 0; n < inputs.rows; ++n)
    for (std::size_t c = 0; c < shape.features; ++c) {
      float* to = value.data + c / lanes * value.stride + n * positions * lanes + c % lanes;
      const float* from = inputs.row(n) + c * feature_step;
      for (std::size_t t = 0; t < positions; ++t) to[t * lanes] = from[t * position_step];
    }
}

void GraphNetwork::forward_layer(std::size_t i, std::span<const kernels::Strips> values, std::size_t samples,
                                 const std::uint64_t* sample_ids, OpScratch& scratch) const {
  if (tail_at_[i]) return forward_tail(*tail_at_[i], values);
  kernels::ConstStrips inputs[kMostInputs];
  const std::vector<std::size_t>& from = graph_.nodes()[i].inputs;
  for (std::size_t j = 0; j < from.size(); ++j) inputs[j] = values[from[j]];
  ops_[i]->forward({std::span(inputs, from.size()), values[i + 1], samples, &scratch, sample_ids,
                    leaves_slope_[i] ? values[from[0]] : kernels::Strips()});
}

void GraphNetwork::backward_layer(std::size_t i, std::span<const kernels::Strips> values,
                                  std::span<const kernels::Strips> deltas,
                                  std::span<const GradientRows> gradients, std::size_t samples,
                                  OpScratch& scratch, std::vector<bool>& written) const {
  if (tail_at_[i]) return backward_tail(*tail_at_[i], values, deltas, gradients, samples, written);
  const GraphNode& node = graph_.nodes()[i];
  const std::size_t count = node.inputs.size();
  kernels::ConstStrips inputs[kMostInputs];
  kernels::Strips below[kMostInputs];
  bool add[kMostInputs] = {};
  for (std::size_t j = 0; j < count; ++j) {
    const std::size_t v = node.inputs[j];
    inputs[j] = values[v];
    below[j] = deltas[v];
    add[j] = written[v];
    written[v] = true;
  }
  GradientRows own[kMostParameters];
  for (std::size_t p = 0; p < node.parameters.size(); ++p) own[p] = gradients[node.parameters[p]];
  ops_[i]->backward({std::span<const kernels::ConstStrips>(inputs, count), values[i + 1], deltas[i + 1],
                     samples, std::span<const kernels::Strips>(below, count),
                     std::span<const bool>(add, count),
                     std::span<const GradientRows>(own, node.parameters.size()), &scratch, leaves_slope_[i]});
}

void GraphNetwork::forward_tail(const NormTail& tail, std::span<const kernels::Strips> values) const {
  const NormTables norm = *ops_[tail.norm]->norm_tables();
  kernels::NormForwardArguments a;
  a.input = values[graph_.nodes()[tail.norm].inputs[0]];
  a.scale = norm.scale;
  a.shift = norm.shift;
  if (tail.add) a.other = values[tail.other];
  a.relu = tail.relu.has_value();
  a.output = values[tail.last() + 1];
  kernels_.norm_forward(a);
}

void GraphNetwork::backward_tail(const NormTail& tail, std::span<const kernels::Strips> values,
                                 std::span<const kernels::Strips> deltas,
                                 std::span<const GradientRows> gradients, std::size_t samples,
                                 std::vector<bool>& written) const {
  const GraphNode& node = graph_.nodes()[tail.norm];
  const std::size_t input = node.inputs[0];
  kernels::NormBackwardArguments a;
  a.input = values[input];
  a.delta = deltas[tail.last() + 1];
  if (tail.relu) a.output = values[tail.last() + 1];
  if (tail.add) {
    a.other = deltas[tail.other];
    a.add_other = written[tail.other];
    written[tail.other] = true;
  }
  a.below = deltas[input];
  a.add_below = written[input];
  written[input] = true;
  GradientRows own[kMostParameters];
  for (std::size_t p = 0; p < node.parameters.size(); ++p) own[p] = gradients[node.parameters[p]];
  backward_norm(kernels_, *ops_[tail.norm]->norm_tables(), samples, a,
                std::span<const GradientRows>(own, node.parameters.size()));
}

std::size_t GraphNetwork::packed_bytes() const {
  std::size_t total = 0;
  for (const auto& op : ops_) total += op->packed_bytes(kernels_.lanes);
  return total;
}

std::size_t GraphNetwork::scratch_floats() const {
  std::size_t most = 0;
  for (const auto& op : ops_) most = std::max(most, op->scratch_floats(kernels_.lanes));
  return most;
}

}  // namespace fisherdiag
