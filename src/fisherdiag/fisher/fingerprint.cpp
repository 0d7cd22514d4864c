#include "fisherdiag/fisher/fingerprint.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "fisherdiag/base/digest.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"

namespace fisherdiag {

namespace {

constexpr std::size_t kBlockBytes = std::size_t{4} << 20;
/// Longer values are told apart without being shown.
constexpr std::size_t kMostShown = 40;
constexpr const char* kDataKey = "data";

void hash_samples(Sha256& digest, Dataset& data, std::size_t first, std::size_t count,
                  std::vector<float>& block) {
  const std::size_t width = data.features() + data.target_width();
  block.resize(count * width);
  float* const targets = block.data() + count * data.features();
  data.read_inputs(first, {block.data(), count, data.features()});
  if (data.target_width()) data.read_targets(first, {targets, count, data.target_width()});
  digest.update_values(std::span<const float>(block));
}

}  // namespace

std::string data_fingerprint(Dataset& data, const std::function<void()>& poll) {
  Sha256 digest;
  const std::array<std::uint64_t, 4> sizes = {data.size(), data.features(), data.target_width(),
                                              static_cast<std::uint64_t>(data.target_kind())};
  digest.update_values(std::span<const std::uint64_t>(sizes));
  const std::size_t bytes = (data.features() + data.target_width()) * sizeof(float);
  std::vector<float> block;
  if (data.size() > kMostHashedBytes / bytes) {
    const std::size_t hashed = std::min(kSpacedSamples, data.size());
    const double step =
        static_cast<double>(data.size() - 1) / static_cast<double>(std::max<std::size_t>(hashed - 1, 1));
    for (std::size_t i = 0; i < hashed; ++i) {
      const auto sample = static_cast<std::size_t>(static_cast<double>(i) * step);
      hash_samples(digest, data, std::min(sample, data.size() - 1), 1, block);
      poll();
    }
    return digest.hex();
  }
  const std::size_t rows = std::max<std::size_t>(kBlockBytes / bytes, 1);
  for (std::size_t first = 0; first < data.size(); first += rows) {
    hash_samples(digest, data, first, std::min(rows, data.size() - first), block);
    poll();
  }
  return digest.hex();
}

std::map<std::string, std::string> computation_identity(const Network& network, Dataset& data,
                                                        const FisherOptions& options,
                                                        const Context& context) {
  const Estimator& estimator = options.estimator;
  std::map<std::string, std::string> identity = {
      {"architecture", network.architecture().to_json()},
      {"weights", network.sha256()},
      {"samples", std::to_string(data.size())},
      {"estimator", std::string(estimator_name(estimator.kind))},
      {"likelihood", std::string(likelihood_name(options.likelihood))},
      {"seed", std::to_string(estimator.seed)},
      {"draws", std::to_string(estimator.draws)},
      {"batch size", std::to_string(estimator.batch_size)},
      {"precision", std::string(precision_name(options.precision))},
      {"precision unit", std::string(precision_unit(options.precision, context.isa()))},
      {"instruction set", std::string(isa_name(context.isa()))},
      {"version", std::string(version())}};
  const Subset subset =
      options.max_samples ? Subset{SubsetKind::Uniform, options.max_samples} : options.subset;
  identity["subset"] = std::string(subset_name(subset.kind)) + (subset.size ? ":" : "") +
                       (subset.size ? std::to_string(*subset.size) : "");
  if (network.architecture().positions() > 1)
    identity["likelihood unit"] = std::string(likelihood_unit_name(estimator.unit));
  if (options.until) identity["error to reach"] = std::to_string(*options.until);
  const auto poll = [&] {
    if (options.stop && options.stop()) throw InterruptedError("interrupted");
  };
  identity[kDataKey] = data_fingerprint(data, poll);
  return identity;
}

void require_same_computation(const std::string& file, const std::map<std::string, std::string>& expected,
                              const std::map<std::string, std::string>& found) {
  const auto compare = [&](const std::string& key, const std::string& value) {
    const auto entry = found.find(key);
    const std::string other = entry == found.end() ? "missing" : entry->second;
    if (other == value) return;
    const bool shown = value.size() <= kMostShown && other.size() <= kMostShown;
    throw DataError(file + ": belongs to another computation: its " + key +
                    (shown ? " is " + other + ", not " + value : " differs"));
  };
  // The fingerprint differs too where the number of samples does, and says less.
  for (const auto& [key, value] : expected)
    if (key != kDataKey) compare(key, value);
  if (const auto data = expected.find(kDataKey); data != expected.end()) compare(kDataKey, data->second);
}

}  // namespace fisherdiag
