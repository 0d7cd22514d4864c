// The layers whose traces are told apart (docs/sampling.md).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fisherdiag/nn/parameter_tensor.hpp"

namespace fisherdiag {

/// Of each tensor, the number of the layer it counts to: tensors that are called alike up to their last dot,
/// as a layer's weight and bias, are one layer; numbers are in the order of the layers' first tensors.
std::vector<std::size_t> trace_parts(std::span<const ParameterTensor> tensors);

/// How many layers that are; at least 1.
std::size_t trace_part_count(std::span<const ParameterTensor> tensors);

}  // namespace fisherdiag
