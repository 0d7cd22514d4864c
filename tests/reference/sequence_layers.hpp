// The layers of sequence models by their textbook definition, one sample in double (graph_layers.hpp).
#pragma once

#include "reference/graph_layers.hpp"

namespace fisherdiag::reference {

bool is_sequence_layer(const std::string& type);

Vector sequence_forward(const LayerCall& call);

/// Gradients of seed . output.
LayerGradients sequence_backward(const LayerCall& call, const Vector& seed);

}  // namespace fisherdiag::reference
