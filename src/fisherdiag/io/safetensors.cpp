// Reading safetensors files.
#include "fisherdiag/io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <unordered_map>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/element_type.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/quoted_name.hpp"
#include "fisherdiag/io/safetensors_header.hpp"

namespace fisherdiag {

namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the reference implementation's limit

/// The header's length, from the file's first eight bytes, little-endian.
std::uint64_t read_header_length(const io::InputFile& file) {
  if (file.size() < kLengthBytes)
    throw FormatError(file.name(), file.size() == 0 ? "is empty" : "is truncated: it has less than 8 bytes");
  std::array<std::byte, kLengthBytes> bytes;
  file.read_at(0, bytes);
  std::uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;)
    length = length << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  if (length > kMostHeaderBytes)
    throw FormatError(file.name(),
                      "its header claims " + std::to_string(length) +
                          " bytes, over the limit of 100000000: it is not a safetensors file",
                      0);
  if (length > file.size() - kLengthBytes)
    throw FormatError(file.name(),
                      "is truncated: its header claims " + std::to_string(length) + " bytes, the file has " +
                          std::to_string(file.size()),
                      0);
  return length;
}

std::optional<io::ElementType> readable_type(const std::string& dtype) {
  if (dtype == "F32") return io::ElementType::F32;
  if (dtype == "F64") return io::ElementType::F64;
  if (dtype == "F16") return io::ElementType::F16;
  if (dtype == "BF16") return io::ElementType::BF16;
  return std::nullopt;
}

}  // namespace

struct SafetensorsFile::State {
  explicit State(const std::filesystem::path& path_) : path(path_), file(path_) {
    const std::uint64_t length = read_header_length(file);
    std::string json(length, '\0');
    file.read_at(kLengthBytes, std::as_writable_bytes(std::span(json)));
    data_offset = kLengthBytes + length;
    header = io::parse_safetensors_header(json, file.name(), file.size() - data_offset);
    for (std::size_t i = 0; i < header.tensors.size(); ++i) index.emplace(header.tensors[i].name, i);
  }

  std::filesystem::path path;
  io::InputFile file;
  std::uint64_t data_offset = 0;
  io::SafetensorsHeader header;
  std::unordered_map<std::string, std::size_t> index;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : state_(std::make_unique<State>(path)) {}
SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const std::filesystem::path& SafetensorsFile::path() const {
  return state_->path;
}
const std::vector<TensorEntry>& SafetensorsFile::tensors() const {
  return state_->header.tensors;
}
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return state_->header.metadata;
}

const TensorEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = state_->index.find(name);
  return found == state_->index.end() ? nullptr : &state_->header.tensors[found->second];
}

void SafetensorsFile::read(const TensorEntry& tensor, std::span<float> out) const {
  const std::string where = "tensor " + io::quoted_name(tensor.name);
  const auto type = readable_type(tensor.dtype);
  if (!type)
    throw FormatError(state_->file.name(),
                      where + " has dtype " + tensor.dtype + "; F32, F64, F16 and BF16 are read");
  if (out.size() != tensor.elements)
    throw ArgumentError("[SafetensorsFile::read] " + state_->file.name() + ": " + where + " has " +
                        std::to_string(tensor.elements) + " elements, the destination " +
                        std::to_string(out.size()));
  io::read_as_float(state_->file, state_->data_offset + tensor.begin, *type, std::endian::little, out);
}

void SafetensorsFile::read_doubles(const TensorEntry& tensor, std::span<double> out) const {
  const std::string where = "tensor " + io::quoted_name(tensor.name);
  if (tensor.dtype != "F64")
    throw FormatError(state_->file.name(), where + " has dtype " + tensor.dtype + ", expected F64");
  if (out.size() != tensor.elements)
    throw ArgumentError("[SafetensorsFile::read_doubles] " + state_->file.name() + ": " + where + " has " +
                        std::to_string(tensor.elements) + " elements, the destination " +
                        std::to_string(out.size()));
  state_->file.read_at(state_->data_offset + tensor.begin, std::as_writable_bytes(out));
  if constexpr (std::endian::native != std::endian::little)
    for (double& value : out) {
      const std::span<std::byte> bytes = std::as_writable_bytes(std::span(&value, 1));
      std::reverse(bytes.begin(), bytes.end());
    }
}

}  // namespace fisherdiag
