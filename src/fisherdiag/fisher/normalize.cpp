#include "fisherdiag/fisher/normalize.hpp"

#include <limits>
#include <string>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

AlignedBuffer<float> normalize(std::span<const ParameterTensor> tensors, const AlignedBuffer<double>& sum,
                               double norm) {
  AlignedBuffer<float> values(sum.size());
  for (const ParameterTensor& tensor : tensors)
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      const double value = norm * sum[i];
      if (!(value <= std::numeric_limits<float>::max()))
        throw DataError("the Fisher value of element " + std::to_string(i - tensor.offset) + " of '" +
                        tensor.name + "' is not finite; the network's outputs or inputs are too large");
      values[i] = static_cast<float>(value);
    }
  return values;
}

}  // namespace fisherdiag
