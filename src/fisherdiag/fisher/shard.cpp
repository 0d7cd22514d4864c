#include "fisherdiag/fisher/shard.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "fisherdiag/base/digest.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/fingerprint.hpp"
#include "fisherdiag/fisher/normalize.hpp"
#include "fisherdiag/fisher/sum_file.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag {

namespace {

using Strings = std::map<std::string, std::string>;

/// Entries of the diagonal's metadata, and of the identity, each under its own prefix.
constexpr std::string_view kFisherPrefix = "fisher.", kIdentityPrefix = "computation.";

std::string section_name(std::size_t section) {
  return "section." + std::to_string(section);
}

std::span<const double> view(const AlignedBuffer<double>& values) {
  return {values.data(), values.size()};
}

void add_prefixed(Strings& to, std::string_view prefix, const Strings& from) {
  for (const auto& [key, value] : from) to[std::string(prefix) + key] = value;
}

Strings with_prefix(const Strings& from, std::string_view prefix) {
  Strings found;
  for (const auto& [key, value] : from)
    if (key.starts_with(prefix)) found[key.substr(prefix.size())] = value;
  return found;
}

/// What the header of a shard file says.
struct Header {
  std::filesystem::path path;
  ShardPlace place;
  Strings identity, fisher;

  std::string name() const { return path.string(); }
};

ShardPlace parse_place(const std::string& file, const std::string& text) {
  ShardPlace place;
  const char* end = text.data() + text.size();
  const auto [slash, error] = std::from_chars(text.data(), end, place.index);
  if (error == std::errc{} && slash != end && *slash == '/') {
    const auto [stop, second] = std::from_chars(slash + 1, end, place.count);
    if (second == std::errc{} && stop == end && place.index >= 1 && place.index <= place.count) return place;
  }
  throw DataError(file + ": metadata entry 'shard' has the unknown value '" + text + "'");
}

Header read_header(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const auto format = file.metadata().find("format");
  if (format == file.metadata().end() || format->second != kShardFormat)
    throw DataError(path.string() + ": is not a shard, which cannot be merged with shards");
  const auto place = file.metadata().find("shard");
  if (place == file.metadata().end()) throw DataError(path.string() + ": metadata entry 'shard' is missing");
  return {path, parse_place(path.string(), place->second), with_prefix(file.metadata(), kIdentityPrefix),
          with_prefix(file.metadata(), kFisherPrefix)};
}

/// In the order of their places, every place once, all of one computation.
std::vector<Header> read_headers(const std::vector<std::filesystem::path>& files) {
  if (files.empty()) throw ArgumentError("there is no shard to merge");
  std::vector<Header> headers;
  for (const std::filesystem::path& path : files) {
    headers.push_back(read_header(path));
    const Header &first = headers.front(), &own = headers.back();
    if (own.place.count != first.place.count)
      throw DataError(own.name() + ": is shard " + own.place.text() + ", but " + first.name() + " is shard " +
                      first.place.text());
    require_same_computation(own.name(), first.identity, own.identity);
    const auto normalization = [](const Header& header) {
      const auto entry = header.fisher.find("normalization");
      return entry == header.fisher.end() ? std::string() : entry->second;
    };
    if (normalization(own) != normalization(first))
      throw DataError(own.name() + ": its normalization is '" + normalization(own) + "', but '" +
                      normalization(first) + "' in " + first.name());
  }
  std::ranges::stable_sort(headers, {}, [](const Header& header) { return header.place.index; });
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (i > 0 && headers[i].place.index == headers[i - 1].place.index)
      throw DataError(headers[i].name() + ": is shard " + headers[i].place.text() + ", as is " +
                      headers[i - 1].name());
    if (headers[i].place.index != i + 1) break;
  }
  for (std::size_t i = 0; i < headers.front().place.count; ++i)
    if (i >= headers.size() || headers[i].place.index != i + 1)
      throw DataError("shard " + std::to_string(i + 1) + " of " +
                      std::to_string(headers.front().place.count) + " is missing beside " +
                      headers.front().name());
  return headers;
}

/// Before memory for `parameters` values is asked for: some shard has a section that large.
void require_section(const std::vector<Header>& headers, std::size_t parameters) {
  for (const Header& header : headers) {
    const SafetensorsFile file(header.path);
    const TensorEntry* section = file.find(section_name(0));
    if (section && section->elements == parameters) return;
  }
  throw DataError(headers.front().name() + ": has no section of the " + std::to_string(parameters) +
                  " parameters of its architecture");
}

/// What the sum over all of the data is multiplied with.
double norm_factor(const FisherMetadata& metadata) {
  if (metadata.normalization == Normalization::Sum) return 1.0;
  if (metadata.estimator.kind != EstimatorKind::Batched) return 1.0 / static_cast<double>(metadata.samples);
  const std::uint64_t batch = metadata.estimator.batch_size;
  return 1.0 / static_cast<double>((metadata.samples + batch - 1) / batch);
}

}  // namespace

void FisherShard::save(const std::filesystem::path& path) const {
  Strings strings = {{"shard", place.text()}, {"sections", std::to_string(sections.size())}};
  add_prefixed(strings, kIdentityPrefix, identity);
  add_prefixed(strings, kFisherPrefix, metadata.to_strings());
  std::vector<NamedSums> sums;
  for (std::size_t s = 0; s < sections.size(); ++s) sums.push_back({section_name(s), view(sections[s])});
  save_sums(path, kShardFormat, std::move(strings), sums);
}

std::string FisherShard::sha256() const {
  Sha256 digest;
  for (const AlignedBuffer<double>& section : sections) digest.update_values(view(section));
  return digest.hex();
}

bool is_shard_file(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const auto format = file.metadata().find("format");
  return format != file.metadata().end() && format->second == kShardFormat;
}

FisherDiagonal merge_shards(const std::vector<std::filesystem::path>& files,
                            const std::function<void()>& poll) {
  const std::vector<Header> headers = read_headers(files);
  const std::string first = headers.front().name();
  const auto architecture_text = headers.front().identity.find("architecture");
  if (architecture_text == headers.front().identity.end())
    throw DataError(first + ": does not say of which architecture it is");
  // Only JSON: parse() would take other text for the name of a file to read.
  if (!architecture_text->second.starts_with('{')) throw DataError(first + ": its architecture is not JSON");
  const Architecture architecture = Architecture::parse(architecture_text->second);
  require_section(headers, architecture.parameter_count());
  AlignedBuffer<double> sum(architecture.parameter_count());
  for (const Header& header : headers) {
    SumFile file = load_sums(header.path, kShardFormat);
    const std::uint64_t sections = file.integer(header.name(), "sections");
    for (std::size_t s = 0; s < sections; ++s) {
      // The order of sections is that of SectionedSum::fold.
      const AlignedBuffer<double> section = file.take(header.name(), section_name(s), sum.size());
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += section[i];
    }
    if (poll) poll();
  }
  FisherMetadata metadata;
  try {
    metadata = FisherMetadata::from_strings(headers.front().fisher);
  } catch (const DataError& error) {
    throw DataError(first + ": " + error.what());
  }
  AlignedBuffer<float> values = normalize(architecture.parameters(), sum, norm_factor(metadata));
  return FisherDiagonal(architecture.parameters(), std::move(values), std::move(metadata));
}

}  // namespace fisherdiag
