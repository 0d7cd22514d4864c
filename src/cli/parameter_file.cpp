#include "cli/parameter_file.hpp"

#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/compare.hpp"
#include "fisherdiag/fisher/diagonal.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag::cli {

namespace {

/// Batch norm's statistics stand beside the parameters in a file of weights, and have no Fisher.
bool is_statistic(const std::string& name) {
  return name.ends_with(".running_mean") || name.ends_with(".running_var") ||
         name.ends_with(".num_batches_tracked");
}

std::vector<ParameterTensor> list_tensors(const SafetensorsFile& file) {
  std::vector<ParameterTensor> tensors;
  std::size_t offset = 0;
  for (const TensorEntry& entry : file.tensors()) {
    if (is_statistic(entry.name) || is_standard_error(file, entry)) continue;
    tensors.push_back({entry.name, entry.shape, offset, entry.elements});
    offset += entry.elements;
  }
  return tensors;
}

void check_like(const SafetensorsFile& file, const std::vector<ParameterTensor>& like) {
  try {
    match_tensors(like, list_tensors(file));
  } catch (const DataError& error) {
    throw DataError(file.path().string() + ": " + error.what());
  }
}

}  // namespace

ParameterFile read_parameters(const std::string& path, const std::vector<ParameterTensor>* like) {
  const SafetensorsFile file(path);
  if (like) check_like(file, *like);
  ParameterFile result;
  result.tensors = like ? *like : list_tensors(file);
  const std::size_t total =
      result.tensors.empty() ? 0 : result.tensors.back().offset + result.tensors.back().size;
  result.values = AlignedBuffer<float>(total);
  for (const ParameterTensor& tensor : result.tensors) {
    const std::span<float> out(result.values.data() + tensor.offset, tensor.size);
    file.read(*file.find(tensor.name), out);
    for (std::size_t i = 0; i < out.size(); ++i)
      if (!std::isfinite(out[i]))
        throw DataError(path + ": element " + std::to_string(i) + " of '" + tensor.name + "' is not finite");
  }
  return result;
}

}  // namespace fisherdiag::cli
