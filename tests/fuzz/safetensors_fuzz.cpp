#include "fisherdiag/io/safetensors.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

FISHERDIAG_FUZZ_TARGET(safetensors) {
  const SafetensorsFile file(fuzz::path_of(input));
  for (const TensorEntry& tensor : file.tensors()) {
    if (tensor.elements > input.size()) continue;  // F4 and the like have more elements than bytes
    std::vector<float> values(tensor.elements);
    try {
      file.read(tensor, values);
    } catch (const FormatError&) {
      // a type that is not read
    }
    if (file.find(tensor.name) == nullptr) std::abort();
  }
}
