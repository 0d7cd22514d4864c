// Writing safetensors files.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/atomic_file.hpp"
#include "fisherdiag/io/checked.hpp"
#include "fisherdiag/io/quoted_name.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag {

namespace {

constexpr std::string_view kMetadataKey = "__metadata__";

std::size_t element_count(const TensorView& tensor) {
  return tensor.values.size() + tensor.doubles.size();
}

std::size_t byte_count(const TensorView& tensor) {
  return tensor.values.size_bytes() + tensor.doubles.size_bytes();
}

const char* dtype_name(const TensorView& tensor) {
  return tensor.doubles.empty() ? "F32" : "F64";
}

void check_tensors(const std::string& path, std::span<const TensorView> tensors) {
  std::unordered_set<std::string> names;
  for (const TensorView& tensor : tensors) {
    const std::string where = "[write_safetensors] " + path + ": tensor " + io::quoted_name(tensor.name);
    if (tensor.name == kMetadataKey) throw ArgumentError(where + " has the name reserved for metadata");
    if (!names.insert(tensor.name).second) throw ArgumentError(where + " comes twice");
    const auto elements = io::checked_product(std::span<const std::size_t>(tensor.shape));
    if (!elements || *elements != element_count(tensor))
      throw ArgumentError(where + " has " + std::to_string(element_count(tensor)) +
                          " values, which do not fill its shape");
  }
}

/// The header's text, padded with spaces so that the data starts at a multiple of eight bytes.
std::string make_header(const std::string& path, std::span<const TensorView> tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::uint64_t offset = 0;
  try {
    std::string text = "{";
    if (!metadata.empty())
      text += nlohmann::json(kMetadataKey).dump() + ":" + nlohmann::json(metadata).dump();
    for (const TensorView& tensor : tensors) {
      const std::uint64_t end = offset + byte_count(tensor);
      const nlohmann::ordered_json entry = {
          {"dtype", dtype_name(tensor)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
      if (text.size() > 1) text += ",";
      text += nlohmann::json(tensor.name).dump() + ":" + entry.dump();
      offset = end;
    }
    text += "}";
    constexpr std::size_t kAlignment = 8;
    text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
    return text;
  } catch (const nlohmann::json::exception&) {
    throw ArgumentError("[write_safetensors] " + path + ": a name or metadata string is not valid UTF-8");
  }
}

/// Little-endian bytes, whatever the machine's order.
template <class Word>
std::array<std::byte, sizeof(Word)> little_endian(Word word) {
  std::array<std::byte, sizeof(Word)> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(word >> (8 * i) & 0xFF);
  return bytes;
}

template <class Value>
void write_values(AtomicFile& file, std::span<const Value> values) {
  using Word = std::conditional_t<sizeof(Value) == 8, std::uint64_t, std::uint32_t>;
  if constexpr (std::endian::native == std::endian::little) {
    file.write(std::as_bytes(values));
  } else {
    std::vector<std::byte> bytes;
    for (const Value value : values) {
      const auto word = little_endian(std::bit_cast<Word>(value));
      bytes.insert(bytes.end(), word.begin(), word.end());
    }
    file.write(bytes);
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  check_tensors(path.string(), tensors);
  const std::string header = make_header(path.string(), tensors, metadata);
  AtomicFile file(path);
  file.write(little_endian(static_cast<std::uint64_t>(header.size())));
  file.write(header);
  for (const TensorView& tensor : tensors) {
    write_values(file, tensor.values);
    write_values(file, tensor.doubles);
  }
  file.commit();
}

}  // namespace fisherdiag
