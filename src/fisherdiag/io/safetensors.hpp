// Safetensors files: strict reading, atomic writing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fisherdiag {

/// One tensor of an open file.
struct TensorEntry {
  std::string name;
  std::string dtype;  ///< as in the file: "F32", "BF16", "I64", ...
  std::vector<std::size_t> shape;
  std::size_t elements = 0;
  std::uint64_t begin = 0;  ///< bytes [begin, end) of the data section
  std::uint64_t end = 0;
  std::size_t shard = 0;  ///< the file it is in, where a model has several
};

/// A safetensors file, its header read and checked in full before anything else is believed.
///
/// Format: https://github.com/huggingface/safetensors (README, "Format"). Rejected with FormatError: a file
/// under 8 bytes, a header over 100,000,000 bytes or past the end, bad UTF-8 or JSON, duplicate keys,
/// metadata that is not strings, unknown dtypes, sizes that overflow, offsets that overlap, leave holes or do
/// not end at the file's end.
///
/// A path that ends with `.index.json` is the index of a model in several files, which are then seen as one:
/// every tensor must be in the file the index names, and the files must hold no others. Metadata are the
/// index's strings, then each file's in order; of one key the first counts.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::filesystem::path& path() const;
  /// In the order of their bytes, file after file.
  const std::vector<TensorEntry>& tensors() const;
  /// The strings under `__metadata__`.
  const std::map<std::string, std::string>& metadata() const;
  /// nullptr if there is no such tensor.
  const TensorEntry* find(const std::string& name) const;

  /// Reads a floating-point tensor (F64, F32, F16 or BF16), converted to float. out.size() must be its
  /// elements. Errors: FormatError for another dtype, IoError when the bytes cannot be read.
  void read(const TensorEntry& tensor, std::span<float> out) const;
  /// The same for an F64 tensor as it is.
  void read_doubles(const TensorEntry& tensor, std::span<double> out) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A float32 or float64 tensor to be written; values are in row-major order and not copied.
struct TensorView {
  std::string name;
  std::vector<std::size_t> shape;
  std::span<const float> values;
  std::span<const double> doubles = {};  ///< instead of values: the tensor is stored as F64
};

/// Writes tensors and metadata to `path`: to a temporary name beside it, synced, renamed. On any error `path`
/// is as it was and no temporary file stays. Tensors are stored in the given order. Errors: IoError;
/// ArgumentError if a shape and its values disagree or a name comes twice.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace fisherdiag
