// Files of sums whose SHA-256 is right, so that a fuzzer gets past it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fisherdiag/fisher/sum_file.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "fuzz/target.hpp"

namespace fisherdiag::fuzz {

/// `input`; where it is a safetensors file of F64 tensors with 64 bytes of metadata under "sha256", these are
/// replaced by what they should be.
inline std::string signed_sums(std::string_view input) {
  std::string bytes(input);
  try {
    const SafetensorsFile file(path_of(input));
    auto metadata = file.metadata();
    const std::string claimed = metadata["sha256"];
    const std::size_t place = claimed.size() == 64 ? bytes.find(claimed) : std::string::npos;
    if (place == std::string::npos) return bytes;
    metadata.erase("sha256");
    std::vector<std::vector<double>> values;
    std::vector<NamedSums> sums;
    for (const TensorEntry& tensor : file.tensors()) {
      values.emplace_back(tensor.dtype == "F64" ? tensor.elements : 0);
      file.read_doubles(tensor, values.back());
      sums.push_back({tensor.name, values.back()});
    }
    bytes.replace(place, claimed.size(), digest_of_sums(metadata, sums));
  } catch (const Error&) {
    // the target meets it again
  }
  return bytes;
}

}  // namespace fisherdiag::fuzz
