// Reading safetensors files.
#include "fisherdiag/io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/element_type.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/quoted_name.hpp"
#include "fisherdiag/io/safetensors_header.hpp"
#include "fisherdiag/io/safetensors_index.hpp"

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

/// One file of a model.
struct Shard {
  io::InputFile file;
  std::uint64_t data_offset = 0;
};

}  // namespace

struct SafetensorsFile::State {
  explicit State(const std::filesystem::path& path_) : path(path_) {
    if (io::is_safetensors_index(path)) {
      open_indexed(io::read_safetensors_index(path));
    } else {
      open_shard(path);
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) places.emplace(tensors[i].name, i);
  }

  void open_shard(const std::filesystem::path& shard_path) {
    Shard shard{io::InputFile(shard_path), 0};
    const std::uint64_t length = read_header_length(shard.file);
    std::string json(length, '\0');
    shard.file.read_at(kLengthBytes, std::as_writable_bytes(std::span(json)));
    shard.data_offset = kLengthBytes + length;
    io::SafetensorsHeader header =
        io::parse_safetensors_header(json, shard.file.name(), shard.file.size() - shard.data_offset);
    for (TensorEntry& tensor : header.tensors) {
      tensor.shard = shards.size();
      tensors.push_back(std::move(tensor));
    }
    metadata.merge(header.metadata);
    shards.push_back(std::move(shard));
  }

  void open_indexed(const io::SafetensorsIndex& index) {
    metadata = index.metadata;
    for (const std::filesystem::path& shard : index.shards) open_shard(shard);
    for (const TensorEntry& tensor : tensors) {
      const auto wanted = index.tensors.find(tensor.name);
      if (wanted == index.tensors.end() || wanted->second != tensor.shard)
        throw FormatError(shards[tensor.shard].file.name(), "holds tensor " + io::quoted_name(tensor.name) +
                                                                ", which the index " + path.string() +
                                                                " does not place there");
    }
    // Each tensor found is where the index says, so as many as it names is all of them.
    if (tensors.size() == index.tensors.size()) return;
    std::set<std::string> found;
    for (const TensorEntry& tensor : tensors) found.insert(tensor.name);
    for (const auto& [name, shard] : index.tensors)
      if (found.count(name) == 0)
        throw FormatError(path.string(), "names tensor " + io::quoted_name(name) + ", which " +
                                             shards[shard].file.name() + " does not hold");
  }

  std::filesystem::path path;
  std::vector<Shard> shards;
  std::vector<TensorEntry> tensors;
  std::map<std::string, std::string> metadata;
  std::unordered_map<std::string, std::size_t> places;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : state_(std::make_unique<State>(path)) {}
SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const std::filesystem::path& SafetensorsFile::path() const {
  return state_->path;
}
const std::vector<TensorEntry>& SafetensorsFile::tensors() const {
  return state_->tensors;
}
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return state_->metadata;
}

const TensorEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = state_->places.find(name);
  return found == state_->places.end() ? nullptr : &state_->tensors[found->second];
}

void SafetensorsFile::read(const TensorEntry& tensor, std::span<float> out) const {
  const Shard& shard = state_->shards[tensor.shard];
  const std::string where = "tensor " + io::quoted_name(tensor.name);
  const auto type = readable_type(tensor.dtype);
  if (!type)
    throw FormatError(shard.file.name(),
                      where + " has dtype " + tensor.dtype + "; F32, F64, F16 and BF16 are read");
  if (out.size() != tensor.elements)
    throw ArgumentError("[SafetensorsFile::read] " + shard.file.name() + ": " + where + " has " +
                        std::to_string(tensor.elements) + " elements, the destination " +
                        std::to_string(out.size()));
  io::read_as_float(shard.file, shard.data_offset + tensor.begin, *type, std::endian::little, out);
}

void SafetensorsFile::read_doubles(const TensorEntry& tensor, std::span<double> out) const {
  const Shard& shard = state_->shards[tensor.shard];
  const std::string where = "tensor " + io::quoted_name(tensor.name);
  if (tensor.dtype != "F64")
    throw FormatError(shard.file.name(), where + " has dtype " + tensor.dtype + ", expected F64");
  if (out.size() != tensor.elements)
    throw ArgumentError("[SafetensorsFile::read_doubles] " + shard.file.name() + ": " + where + " has " +
                        std::to_string(tensor.elements) + " elements, the destination " +
                        std::to_string(out.size()));
  shard.file.read_at(shard.data_offset + tensor.begin, std::as_writable_bytes(out));
  if constexpr (std::endian::native != std::endian::little)
    for (double& value : out) {
      const std::span<std::byte> bytes = std::as_writable_bytes(std::span(&value, 1));
      std::reverse(bytes.begin(), bytes.end());
    }
}

}  // namespace fisherdiag
