// From the sum over samples to the values of a diagonal.
#pragma once

#include <span>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// sum * norm in float. Throws DataError naming the parameter of a value that does not fit.
AlignedBuffer<float> normalize(std::span<const ParameterTensor> tensors, const AlignedBuffer<double>& sum,
                               double norm);

}  // namespace fisherdiag
