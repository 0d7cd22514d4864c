// Samples on which a float network may take another side of a corner than a double one. Internal to check.
#pragma once

#include "fisherdiag/fisher/scalar_graph.hpp"

namespace fisherdiag::scalar {

/// True if the rounding errors of float arithmetic may change the sign of a ReLU's input or the largest of a
/// max pooling's. Errors are estimated layer by layer as if they were independent and random (Higham,
/// Accuracy and Stability, 2nd ed., section 2.8); five standard deviations count as possible.
bool at_corner(const ScalarGraph<double>& graph, const float* sample);

}  // namespace fisherdiag::scalar
