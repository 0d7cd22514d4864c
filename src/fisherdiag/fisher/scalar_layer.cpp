#include "fisherdiag/fisher/scalar_layer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/scalar_rules.hpp"

namespace fisherdiag::scalar {

namespace {

const std::map<std::string, LayerRule>& rules() {
  static const std::map<std::string, LayerRule> all{
      {"adaptive_avg_pool1d", mean_pool_rule()},
      {"adaptive_avg_pool2d", mean_pool_rule()},
      {"add", add_rule()},
      {"attention", attention_rule()},
      {"avg_pool1d", mean_pool_rule()},
      {"avg_pool2d", mean_pool_rule()},
      {"batch_norm", batch_norm_rule()},
      {"conv1d", conv_rule()},
      {"conv2d", conv_rule()},
      {"conv_transpose2d", conv_transpose_rule()},
      {"dropout", function_rule()},
      {"embedding", embedding_rule()},
      {"flatten", function_rule()},
      {"gelu", function_rule()},
      {"group_norm", sample_norm_rule()},
      {"identity", function_rule()},
      {"layer_norm", sample_norm_rule()},
      {"linear", linear_rule()},
      {"max_pool1d", max_pool_rule()},
      {"max_pool2d", max_pool_rule()},
      {"positional_embedding", positional_embedding_rule()},
      {"relu", function_rule()},
      {"relu6", function_rule()},
      {"rms_norm", sample_norm_rule()},
      {"sequence_mean", sequence_mean_rule()},
      {"sigmoid", function_rule()},
      {"silu", function_rule()},
      {"tanh", function_rule()},
  };
  return all;
}

bool is_max_pool(const LayerDescription& layer) {
  return layer.type == "max_pool1d" || layer.type == "max_pool2d";
}

/// Equal numbers are no corner: they come from the same side of a corner below.
double pool_distance(const LayerCall<double>& call) {
  const Vector<double>& x = *call.inputs[0];
  double nearest = std::numeric_limits<double>::infinity();
  for (const PoolWindow& window : pool_windows(call)) {
    const double most = x[largest_of(x, window.inputs)];
    for (const std::size_t i : window.inputs)
      if (x[i] != most) nearest = std::min(nearest, most - x[i]);
  }
  return nearest;
}

}  // namespace

LayerGradients::LayerGradients(const LayerCall<double>& call) {
  for (const Vector<double>* input : call.inputs) inputs.emplace_back(input->size());
  for (const std::span<const double> tensor : call.tensors) tensors.emplace_back(tensor.size());
}

const LayerRule& layer_rule(const LayerDescription& layer) {
  const auto rule = rules().find(layer.type);
  if (rule == rules().end())
    throw UnsupportedError("layer '" + layer.name + "' has type '" + layer.type +
                           "', which has no scalar form to check with; 'compute' covers it");
  return rule->second;
}

std::vector<std::uint32_t> sides(const LayerCall<long double>& call) {
  const Vector<long double>& x = *call.inputs[0];
  std::vector<std::uint32_t> result;
  if (call.layer.type == "relu")
    for (const long double v : x) result.push_back(v > 0);
  if (call.layer.type == "relu6")
    for (const long double v : x) result.push_back(v > 0 ? (v < 6 ? 1 : 2) : 0);
  if (is_max_pool(call.layer))
    for (const PoolWindow& window : pool_windows(call))
      result.push_back(static_cast<std::uint32_t>(largest_of(x, window.inputs)));
  return result;
}

double corner_distance(const LayerCall<double>& call) {
  const bool relu6 = call.layer.type == "relu6";
  double nearest = std::numeric_limits<double>::infinity();
  if (relu6 || call.layer.type == "relu")
    for (const double v : *call.inputs[0])
      nearest = std::min({nearest, std::abs(v), relu6 ? std::abs(v - 6) : nearest});
  if (is_max_pool(call.layer)) nearest = pool_distance(call);
  return nearest;
}

}  // namespace fisherdiag::scalar
