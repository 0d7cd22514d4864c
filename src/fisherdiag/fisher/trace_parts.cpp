#include "fisherdiag/fisher/trace_parts.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace fisherdiag {

namespace {

std::string layer_of(const ParameterTensor& tensor) {
  return tensor.name.substr(0, tensor.name.rfind('.'));
}

}  // namespace

std::vector<std::size_t> trace_parts(std::span<const ParameterTensor> tensors) {
  std::map<std::string, std::size_t> layers;
  std::vector<std::size_t> parts;
  for (const ParameterTensor& tensor : tensors)
    parts.push_back(layers.try_emplace(layer_of(tensor), layers.size()).first->second);
  return parts;
}

std::size_t trace_part_count(std::span<const ParameterTensor> tensors) {
  return tensors.empty() ? 1 : std::ranges::max(trace_parts(tensors)) + 1;
}

}  // namespace fisherdiag
