// The index of a model whose tensors are spread over several safetensors files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace fisherdiag::io {

struct SafetensorsIndex {
  std::vector<std::filesystem::path> shards;    ///< beside the index, sorted by name
  std::map<std::string, std::size_t> tensors;   ///< name -> place in `shards`
  std::map<std::string, std::string> metadata;  ///< the strings under "metadata"
};

/// True if `path` is called like an index: `*.index.json`.
bool is_safetensors_index(const std::filesystem::path& path);

/// Reads `model.safetensors.index.json` as Hugging Face writes it: an object with "weight_map" from names of
/// tensors to file names, and "metadata". Errors: FormatError for anything else under "weight_map", an empty
/// one, a file name with a folder in it, more than 4096 files, or an index over 64 MiB; IoError.
SafetensorsIndex read_safetensors_index(const std::filesystem::path& path);

}  // namespace fisherdiag::io
