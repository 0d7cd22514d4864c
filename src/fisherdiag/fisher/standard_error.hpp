// Standard error of every element of F over samples (docs/estimators.md).
#pragma once

#include <cstdint>
#include <span>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/nn/parameter_tensor.hpp"

namespace fisherdiag {

/// norm N sqrt((S / N - m^2) / (N - 1)) with m = sum / N, where `sum` adds what each of N = `samples` samples
/// adds to F and `squares` its square S: the standard error of norm * sum where samples are drawn
/// independently. 0 where rounding makes the variance negative. Throws ArgumentError for fewer than two
/// samples, DataError naming an element whose squares are too large for a float.
AlignedBuffer<float> standard_errors(std::span<const ParameterTensor> tensors, std::span<const double> sum,
                                     std::span<const double> squares, std::uint64_t samples, double norm);

/// Median of error / value over the elements whose value is not 0; NaN if there are none.
double median_relative_error(std::span<const float> values, std::span<const float> errors);

}  // namespace fisherdiag
