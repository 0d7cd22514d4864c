#include "fisherdiag/nn/norm_tail.hpp"

#include <algorithm>
#include <numeric>

namespace fisherdiag {

namespace {

bool is_type(const Graph& graph, std::optional<std::size_t> node, const char* type) {
  return node && graph.nodes()[*node].layer.type == type;
}

}  // namespace

std::optional<std::size_t> only_user(const Graph& graph, std::size_t v) {
  std::optional<std::size_t> user;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i)
    for (const std::size_t input : graph.nodes()[i].inputs) {
      if (input != v) continue;
      if (user) return {};
      user = i;
    }
  return user;
}

std::vector<NormTail> find_norm_tails(const Graph& graph) {
  std::vector<NormTail> tails;
  std::vector<bool> taken(graph.nodes().size(), false);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (graph.nodes()[i].layer.type != "batch_norm") continue;
    NormTail tail;
    tail.norm = i;
    std::optional<std::size_t> next = only_user(graph, i + 1);
    if (is_type(graph, next, "add") && graph.nodes()[*next].inputs.size() == 2 && !taken[*next]) {
      tail.add = next;
      const std::vector<std::size_t>& inputs = graph.nodes()[*next].inputs;
      tail.other = inputs[inputs[0] == i + 1 ? 1 : 0];
      taken[*next] = true;
      next = only_user(graph, *next + 1);
    }
    if (is_type(graph, next, "relu")) tail.relu = next;
    if (tail.add || tail.relu) tails.push_back(tail);
  }
  return tails;
}

std::vector<bool> unstored_values(const Graph& graph, const std::vector<NormTail>& tails) {
  std::vector<bool> unstored(graph.nodes().size() + 1);
  for (const NormTail& tail : tails) {
    unstored[tail.norm + 1] = true;
    if (tail.add) unstored[*tail.add + 1] = true;
    unstored[tail.last() + 1] = false;
  }
  return unstored;
}

std::vector<std::size_t> turns_of_layers(const Graph& graph, const std::vector<NormTail>& tails) {
  std::vector<std::size_t> turns(graph.nodes().size());
  std::iota(turns.begin(), turns.end(), std::size_t{0});
  for (const NormTail& tail : tails) {
    turns[tail.norm] = tail.last();
    if (tail.add) turns[*tail.add] = tail.last();
  }
  return turns;
}

void backward_norm(const kernels::KernelTable& kernels, const NormTables& norm, std::size_t samples,
                   kernels::NormBackwardArguments a, std::span<const GradientRows> gradients) {
  const std::size_t padded = (a.delta.cols + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
  a.scale = norm.scale;
  a.center = norm.mean;
  a.positions = a.delta.rows / samples;
  std::vector<double> sums(gradients.empty() ? 0 : 2 * samples * padded);
  if (!sums.empty()) a.sums = sums.data();
  kernels.norm_backward(a);
  if (sums.empty()) return;
  for (std::size_t n = 0; n < samples; ++n) {
    float* weight = gradients[0].data + n * gradients[0].stride;
    float* bias = gradients[1].data + n * gradients[1].stride;
    const double *delta = sums.data() + 2 * n * padded, *product = delta + padded;
    for (std::size_t c = 0; c < a.delta.cols; ++c) {
      weight[c] += static_cast<float>(product[c] * static_cast<double>(norm.inverse[c]));
      bias[c] += static_cast<float>(delta[c]);
    }
  }
}

}  // namespace fisherdiag
