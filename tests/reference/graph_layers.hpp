// Each type of layer by its textbook definition, one sample in double.
#pragma once

#include <vector>

#include "fisherdiag/nn/layer_description.hpp"
#include "fisherdiag/nn/value_shape.hpp"
#include "reference/mlp_reference.hpp"

namespace fisherdiag::reference {

/// One layer at work. Values are flat in the order of frameworks.
struct LayerCall {
  LayerDescription layer;
  std::vector<Vector> inputs;
  std::vector<ValueShape> shapes;  ///< of the inputs
  ValueShape output;
  std::vector<Vector> parameters;
  std::vector<Vector> buffers;
};

struct LayerGradients {
  std::vector<Vector> inputs, parameters;
};

Vector layer_forward(const LayerCall& call);

/// Gradients of seed . output.
LayerGradients layer_backward(const LayerCall& call, const Vector& seed);

}  // namespace fisherdiag::reference
