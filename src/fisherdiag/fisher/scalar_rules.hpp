// The rules there are, by the file that holds them. Internal to scalar_layer.
#pragma once

#include "fisherdiag/fisher/scalar_layer.hpp"

namespace fisherdiag::scalar {

/// The rule of a class with a static template forward<Real> and a static backward.
template <class Layer>
LayerRule rule_of() {
  return {&Layer::template forward<double>, &Layer::template forward<long double>, &Layer::backward};
}

LayerRule linear_rule();
LayerRule conv_rule();
LayerRule conv_transpose_rule();
LayerRule function_rule();  ///< activations and layers without effect
LayerRule add_rule();
LayerRule max_pool_rule();
LayerRule mean_pool_rule();
LayerRule batch_norm_rule();
LayerRule sample_norm_rule();  ///< group, layer and RMS norm
LayerRule attention_rule();
LayerRule sequence_mean_rule();
LayerRule embedding_rule();
LayerRule positional_embedding_rule();

/// The inputs each output of a pooling sees, and the part of the mean each has.
struct PoolWindow {
  std::vector<std::size_t> inputs;
  double share = 0;
};
template <class Real>
std::vector<PoolWindow> pool_windows(const LayerCall<Real>& call);

/// The first of the largest of `inputs`.
template <class Real>
std::size_t largest_of(const Vector<Real>& values, const std::vector<std::size_t>& inputs) {
  std::size_t best = inputs.front();
  for (const std::size_t i : inputs)
    if (values[i] > values[best]) best = i;
  return best;
}

}  // namespace fisherdiag::scalar
