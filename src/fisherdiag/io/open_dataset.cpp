// open_dataset: from the words of the command line to a dataset.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/array_file.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/io/named_files.hpp"
#include "fisherdiag/io/row_dataset.hpp"
#include "fisherdiag/io/split_rows.hpp"
#include "fisherdiag/io/synthetic.hpp"

namespace fisherdiag {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSynthetic = "synthetic:";

/// True if every value is a whole number that a label can be. Reads everything: the first fraction may be the
/// last.
bool all_whole(io::RowSource& source) {
  constexpr std::size_t kBlock = 64 * 1024;
  std::vector<float> block(std::min(kBlock, source.rows()));
  for (std::size_t first = 0; first < source.rows(); first += block.size()) {
    const std::size_t count = std::min(block.size(), source.rows() - first);
    source.read_rows(first, MatrixView<float>(block.data(), count, 1));
    for (std::size_t i = 0; i < count; ++i) {
      if (!std::isfinite(block[i]))
        throw DataError(source.name() + ": target value 0 of sample " + std::to_string(first + i) + " is " +
                        (std::isnan(block[i]) ? "NaN" : "infinite or too large for a float"));
      if (!(block[i] >= 0 && block[i] < io::kLabelLimit && block[i] == std::floor(block[i]))) return false;
    }
  }
  return true;
}

struct Targets {
  std::unique_ptr<io::RowSource> rows;
  TargetKind kind;
};

/// Integers, and whole floats in one dimension, are labels; everything else is values.
Targets open_targets(const std::vector<io::ArrayWords>& files) {
  io::ArrayFile file = io::open_arrays(files, io::ArrayRole::Targets);
  if (file.dimensions > 2)
    throw FormatError(file.rows->name(),
                      "has " + std::to_string(file.dimensions) +
                          " dimensions; labels have shape [N] and target values [N, width]");
  const bool labels = file.integer ? file.rows->width() == 1 : file.dimensions == 1 && all_whole(*file.rows);
  return {std::move(file.rows), labels ? TargetKind::Labels : TargetKind::Values};
}

std::unique_ptr<Dataset> open_files(const std::string& name, const std::vector<io::ArrayWords>& data,
                                    const std::vector<io::ArrayWords>& labels) {
  auto inputs = io::open_arrays(data, io::ArrayRole::Inputs).rows;
  Targets targets{nullptr, TargetKind::None};
  if (!labels.empty()) targets = open_targets(labels);
  if (targets.rows) io::check_pairs(*inputs, *targets.rows);
  return std::make_unique<io::RowDataset>(name, std::move(inputs), std::move(targets.rows), targets.kind);
}

/// Files of inputs and of targets; archives bring both.
std::unique_ptr<Dataset> open_words(const std::string& data, const std::optional<std::string>& labels) {
  const std::vector<io::ArrayWords> files = io::expand_words(data);
  if (labels) return open_files(data, files, io::expand_words(*labels));
  const bool own = std::all_of(files.begin(), files.end(), io::brings_targets);
  return open_files(data, files, own ? files : std::vector<io::ArrayWords>{});
}

/// True if `data` is the name of a known set rather than of files.
bool looks_named(const std::string& data) {
  std::error_code ignored;
  return data.empty() || (data.find(':') != std::string::npos && data.find('/') == std::string::npos &&
                          data.find(".npz:") == std::string::npos && !fs::exists(data, ignored));
}

std::unique_ptr<Dataset> open_synthetic(const std::string& data, std::string_view count, bool has_labels,
                                        const SyntheticShape& shape) {
  std::size_t samples = 0;
  const char* end = count.data() + count.size();
  const auto [stopped, error] = std::from_chars(count.data(), end, samples);
  if (error != std::errc() || stopped != end)
    throw ArgumentError("data '" + data +
                        "' is malformed; write synthetic:N with N a whole number of samples");
  if (has_labels)
    throw ArgumentError("data '" + data + "' brings its own labels; no labels file can be given");
  return io::make_synthetic(samples, shape, data);
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const std::string& data, const std::optional<std::string>& labels,
                                      const SyntheticShape& shape) {
  if (data.starts_with(kSynthetic))
    return open_synthetic(data, std::string_view(data).substr(kSynthetic.size()), labels.has_value(), shape);
  if (const auto name = io::parse_dataset_name(data)) {
    const io::DatasetFiles files = io::find_dataset_files(*name);
    return open_files(data, {{files.images, {}}},
                      labels ? io::expand_words(*labels) : std::vector<io::ArrayWords>{{files.labels, {}}});
  }
  if (looks_named(data))
    throw ArgumentError("data '" + data + "' is neither a file nor a known name: fashion-mnist:train|test, " +
                        "mnist:train|test, synthetic:N");
  return open_words(data, labels);
}

std::vector<std::string> dataset_files(const std::string& words) {
  if (words.starts_with(kSynthetic) || io::parse_dataset_name(words) || looks_named(words)) return {};
  std::vector<std::string> paths;
  for (const io::ArrayWords& file : io::expand_words(words)) paths.push_back(file.path.string());
  return paths;
}

}  // namespace fisherdiag
