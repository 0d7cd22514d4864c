// The layers of a graph by their definitions, one sample and one number at a time, for checking the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fisherdiag/nn/layer_description.hpp"
#include "fisherdiag/nn/value_shape.hpp"

namespace fisherdiag::scalar {

template <class Real>
using Vector = std::vector<Real>;

/// One layer at work. Values are flat in the order of frameworks: [channels, grid...] or [positions,
/// features].
template <class Real>
struct LayerCall {
  const LayerDescription& layer;
  std::vector<const Vector<Real>*> inputs;
  std::vector<ValueShape> shapes;  ///< of the inputs
  ValueShape output;
  std::vector<std::span<const Real>> tensors;  ///< parameters, then buffers
};

/// Gradients of delta . output.
struct LayerGradients {
  std::vector<Vector<double>> inputs, tensors;

  /// Zeros in the shapes of the call.
  explicit LayerGradients(const LayerCall<double>& call);
};

/// What a type of layer does. A new type is a rule in a table of scalar_layer.cpp.
struct LayerRule {
  Vector<double> (*forward)(const LayerCall<double>&) = nullptr;
  Vector<long double> (*forward_wide)(const LayerCall<long double>&) = nullptr;
  LayerGradients (*backward)(const LayerCall<double>&, const Vector<double>& delta) = nullptr;
};

/// Throws UnsupportedError naming the layer if its type has no rule.
const LayerRule& layer_rule(const LayerDescription& layer);

inline Vector<double> layer_forward(const LayerRule& rule, const LayerCall<double>& call) {
  return rule.forward(call);
}
inline Vector<long double> layer_forward(const LayerRule& rule, const LayerCall<long double>& call) {
  return rule.forward_wide(call);
}

/// The sides of the corners of piecewise linear layers (relu, relu6, max pooling) that the inputs are on;
/// nothing for other layers. Between equal sides the layer is smooth.
std::vector<std::uint32_t> sides(const LayerCall<long double>& call);

/// How near the inputs are to such a corner; infinity without one.
double corner_distance(const LayerCall<double>& call);

}  // namespace fisherdiag::scalar
