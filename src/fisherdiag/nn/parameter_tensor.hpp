// One parameter tensor and its place in the flat parameter vector.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fisherdiag {

struct ParameterTensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::size_t offset = 0;
  std::size_t size = 0;
};

}  // namespace fisherdiag
