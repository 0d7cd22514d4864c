// The JSON header of a safetensors file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag::io {

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  ///< in the order of their bytes
  std::map<std::string, std::string> metadata;
};

/// Parses and checks the header `json` of `file`, whose data section has `data_bytes` bytes.
///
/// Read event by event, without building a document: duplicate keys are seen, nesting deeper than the
/// format's own is rejected where it starts, and numbers stay exact 64-bit integers. Stricter than the
/// reference in two points: the header must begin with '{' as the format's text says, and a tensor has no
/// keys but its three. Errors: FormatError, see SafetensorsFile.
SafetensorsHeader parse_safetensors_header(std::string_view json, const std::string& file,
                                           std::uint64_t data_bytes);

}  // namespace fisherdiag::io
