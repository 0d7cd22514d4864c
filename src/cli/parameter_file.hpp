// Any safetensors file of floating-point tensors as one flat vector.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag::cli {

struct ParameterFile {
  std::vector<ParameterTensor> tensors;
  AlignedBuffer<float> values;
};

/// Reads every tensor but the statistics of batch norm, in the file's order or, if `like` is given, in the
/// order of `like`, whose names and shapes the file must then have. Throws DataError naming file and tensor
/// for what differs or is not finite; IoError, FormatError.
ParameterFile read_parameters(const std::string& path, const std::vector<ParameterTensor>* like = nullptr);

}  // namespace fisherdiag::cli
