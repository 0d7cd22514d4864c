// The oracle's graphs: float64, one sample at a time, loops over every index. Never used in production.
#pragma once

#include "fisherdiag/nn/graph.hpp"
#include "reference/mlp_reference.hpp"

namespace fisherdiag::reference {

/// The network's output for input x, in the order frameworks have it: [channels, grid] or [positions,
/// features].
Vector graph_forward(const Graph& graph, const Vector& parameters, const Vector& buffers, const Vector& x);

/// J^T seed.
Vector graph_gradient(const Graph& graph, const Vector& parameters, const Vector& buffers, const Vector& x, const Vector& seed);

}  // namespace fisherdiag::reference
