#include "fisherdiag/fisher/standard_error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

AlignedBuffer<float> standard_errors(std::span<const ParameterTensor> tensors, std::span<const double> sum,
                                     std::span<const double> squares, std::uint64_t samples, double norm) {
  if (samples < 2)
    throw ArgumentError("a standard error needs at least 2 samples, not " + std::to_string(samples));
  const auto n = static_cast<double>(samples);
  AlignedBuffer<float> errors(sum.size());
  for (const ParameterTensor& tensor : tensors)
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      const double mean = sum[i] / n;
      const double variance = (squares[i] / n - mean * mean) / (n - 1);
      const double error = norm * n * std::sqrt(std::max(variance, 0.0));
      if (!(error <= std::numeric_limits<float>::max()) || !std::isfinite(squares[i]))
        throw DataError("the standard error of element " + std::to_string(i - tensor.offset) + " of '" +
                        tensor.name + "' is beyond float; the network's outputs or inputs are too large");
      errors[i] = static_cast<float>(error);
    }
  return errors;
}

double median_relative_error(std::span<const float> values, std::span<const float> errors) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] > 0) ratios.push_back(static_cast<double>(errors[i]) / static_cast<double>(values[i]));
  if (ratios.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
  std::ranges::nth_element(ratios, middle);
  return *middle;
}

}  // namespace fisherdiag
