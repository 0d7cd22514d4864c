// Files of exact partial sums: checkpoints and shards.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fisherdiag/base/aligned.hpp"

namespace fisherdiag {

/// What such a file is for, its metadata entry "format".
inline constexpr std::string_view kCheckpointFormat = "fisherdiag.checkpoint";
inline constexpr std::string_view kShardFormat = "fisherdiag.shard";

struct NamedSums {
  std::string name;
  std::span<const double> values;
};

struct SumFile {
  std::map<std::string, std::string> metadata;
  std::map<std::string, AlignedBuffer<double>> sums;

  /// Throws DataError naming `file` if it has no such entry, or none that is a whole number (a number).
  const std::string& text(const std::string& file, const std::string& key) const;
  std::uint64_t integer(const std::string& file, const std::string& key) const;
  double number(const std::string& file, const std::string& key) const;
  /// The sums of that name, moved out; DataError if they are missing or not `size` values.
  AlignedBuffer<double> take(const std::string& file, const std::string& name, std::size_t size);
};

/// SHA-256 over names and contents, each with its length before it, 64 digits: what a file says under
/// "sha256".
std::string digest_of_sums(const std::map<std::string, std::string>& metadata,
                           std::span<const NamedSums> sums);

/// A safetensors file of F64 tensors with a SHA-256 over all it says. Atomic. Errors: IoError.
void save_sums(const std::filesystem::path& path, std::string_view format,
               std::map<std::string, std::string> metadata, std::span<const NamedSums> sums);

/// Errors: IoError, FormatError; DataError for a file of another format or one whose SHA-256 is wrong.
SumFile load_sums(const std::filesystem::path& path, std::string_view format);

/// A number as text that reads back as the same double.
std::string exact_text(double value);

}  // namespace fisherdiag
