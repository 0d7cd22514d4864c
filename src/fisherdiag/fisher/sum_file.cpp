#include "fisherdiag/fisher/sum_file.hpp"

#include <charconv>
#include <utility>

#include "fisherdiag/base/digest.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag {

namespace {

constexpr const char* kFormatKey = "format";
constexpr const char* kDigestKey = "sha256";

void digest_text(Sha256& digest, const std::string& text) {
  const std::uint64_t size = text.size();
  digest.update_values(std::span<const std::uint64_t>(&size, 1));
  digest.update_values(std::span<const char>(text));
}

template <class Number>
Number parse(const std::string& file, const std::string& key, const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end)
    throw DataError(file + ": metadata entry '" + key + "' has the unknown value '" + text + "'");
  return value;
}

std::string kind_of(std::string_view format) {
  return format == kCheckpointFormat ? "checkpoint" : "shard";
}

}  // namespace

std::string digest_of_sums(const std::map<std::string, std::string>& metadata,
                           std::span<const NamedSums> sums) {
  Sha256 digest;
  for (const auto& [key, value] : metadata) {
    digest_text(digest, key);
    digest_text(digest, value);
  }
  for (const NamedSums& part : sums) {
    digest_text(digest, part.name);
    const std::uint64_t size = part.values.size();
    digest.update_values(std::span<const std::uint64_t>(&size, 1));
    digest.update_values(part.values);
  }
  return digest.hex();
}

const std::string& SumFile::text(const std::string& file, const std::string& key) const {
  const auto entry = metadata.find(key);
  if (entry == metadata.end()) throw DataError(file + ": metadata entry '" + key + "' is missing");
  return entry->second;
}

std::uint64_t SumFile::integer(const std::string& file, const std::string& key) const {
  return parse<std::uint64_t>(file, key, text(file, key));
}

double SumFile::number(const std::string& file, const std::string& key) const {
  return parse<double>(file, key, text(file, key));
}

AlignedBuffer<double> SumFile::take(const std::string& file, const std::string& name, std::size_t size) {
  const auto entry = sums.find(name);
  if (entry == sums.end()) throw DataError(file + ": there is no tensor '" + name + "'");
  if (entry->second.size() != size)
    throw DataError(file + ": tensor '" + name + "' has " + std::to_string(entry->second.size()) +
                    " values, expected " + std::to_string(size));
  AlignedBuffer<double> values = std::move(entry->second);
  sums.erase(entry);
  return values;
}

void save_sums(const std::filesystem::path& path, std::string_view format,
               std::map<std::string, std::string> metadata, std::span<const NamedSums> sums) {
  metadata[kFormatKey] = format;
  metadata[kDigestKey] = digest_of_sums(metadata, sums);
  std::vector<TensorView> views;
  for (const NamedSums& part : sums) views.push_back({part.name, {part.values.size()}, {}, part.values});
  write_safetensors(path, views, metadata);
}

SumFile load_sums(const std::filesystem::path& path, std::string_view format) {
  const SafetensorsFile file(path);
  SumFile result;
  result.metadata = file.metadata();
  const auto found = result.metadata.find(kFormatKey);
  if (found == result.metadata.end() || found->second != format)
    throw DataError(path.string() + ": is not a " + kind_of(format) + " of fisherdiag");
  const std::string digest = result.text(path.string(), kDigestKey);
  result.metadata.erase(kDigestKey);
  std::vector<NamedSums> parts;
  for (const TensorEntry& tensor : file.tensors()) {
    AlignedBuffer<double>& values = result.sums[tensor.name];
    values = AlignedBuffer<double>(tensor.elements);
    file.read_doubles(tensor, {values.data(), values.size()});
    parts.push_back({tensor.name, {values.data(), values.size()}});
  }
  if (digest_of_sums(result.metadata, parts) != digest)
    throw DataError(path.string() + ": is damaged: its contents do not have the SHA-256 it was written with");
  return result;
}

std::string exact_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

}  // namespace fisherdiag
