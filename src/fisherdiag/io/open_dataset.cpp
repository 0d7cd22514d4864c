// open_dataset: from the words of the command line to a dataset.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/byte_stream.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/gzip.hpp"
#include "fisherdiag/io/idx.hpp"
#include "fisherdiag/io/named_files.hpp"
#include "fisherdiag/io/npy.hpp"
#include "fisherdiag/io/npy_header.hpp"
#include "fisherdiag/io/row_dataset.hpp"
#include "fisherdiag/io/synthetic.hpp"

namespace fisherdiag {

namespace {

namespace fs = std::filesystem;

class NpyRows final : public io::RowSource {
 public:
  NpyRows(NpyFile file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  std::size_t rows() const override { return file_.shape()[0]; }
  std::size_t width() const override { return file_.row_elements(); }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t first, MatrixView<float> out) override { file_.read_rows(first, out); }

 private:
  NpyFile file_;
  std::string name_;
};

class IdxRows final : public io::RowSource {
 public:
  IdxRows(io::IdxFile file, float divisor, std::string name)
      : file_(std::move(file)), divisor_(divisor), name_(std::move(name)) {}

  std::size_t rows() const override { return file_.shape()[0]; }
  std::size_t width() const override { return file_.row_elements(); }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t first, MatrixView<float> out) override { file_.read_rows(first, out, divisor_); }

 private:
  io::IdxFile file_;
  float divisor_;
  std::string name_;
};

enum class Format { Npy, Idx };

/// Tells the format by the file's first bytes, whatever its name.
Format detect_format(const fs::path& path) {
  const io::InputFile file(path);
  if (file.size() == 0) throw FormatError(file.name(), "is empty");
  std::array<char, 6> start{};
  file.read_at(
      0, std::as_writable_bytes(std::span(start)).first(std::min<std::uint64_t>(start.size(), file.size())));
  const std::string_view magic(start.data(), start.size());
  if (magic == io::kNpyMagic) return Format::Npy;
  if (io::is_gzip(file) || magic.substr(0, 2) == std::string_view("\0\0", 2)) return Format::Idx;
  if (magic.substr(0, 2) == "PK")
    throw FormatError(file.name(), "is a .npz (zip) archive; save the one array wanted with numpy.save", 0);
  throw FormatError(file.name(), "starts with the magic bytes of neither .npy nor IDX nor gzip", 0);
}

std::unique_ptr<io::RowSource> open_inputs(const fs::path& path) {
  const std::string name = path.string();
  if (detect_format(path) == Format::Npy) {
    NpyFile file(path);
    if (file.shape().empty()) throw FormatError(name, "holds a single number, not samples");
    return std::make_unique<NpyRows>(std::move(file), name);
  }
  io::IdxFile file(path);
  if (file.shape().size() < 2)
    throw FormatError(name,
                      "holds one number per sample, as label files do; data needs at least two dimensions");
  constexpr float kWhitePixel = 255.0f;
  return std::make_unique<IdxRows>(std::move(file), kWhitePixel, name);
}

/// True if every value is a whole number that a label can be. Reads everything: the first fraction may be the
/// last.
bool all_whole(io::RowSource& source) {
  constexpr std::size_t kBlock = 64 * 1024;
  std::vector<float> block(std::min(kBlock, source.rows()));
  for (std::size_t first = 0; first < source.rows(); first += block.size()) {
    const std::size_t count = std::min(block.size(), source.rows() - first);
    source.read_rows(first, MatrixView<float>(block.data(), count, 1));
    for (std::size_t i = 0; i < count; ++i)
      if (!(block[i] >= 0 && block[i] < io::kLabelLimit && block[i] == std::floor(block[i]))) return false;
  }
  return true;
}

struct Targets {
  std::unique_ptr<io::RowSource> rows;
  TargetKind kind;
};

Targets open_npy_targets(const fs::path& path) {
  const std::string name = path.string();
  NpyFile file(path);
  const std::size_t dimensions = file.shape().size();
  const bool one_per_sample = dimensions == 1 || (dimensions == 2 && file.shape()[1] == 1);
  const bool integer = file.is_integer();
  if (dimensions < 1 || dimensions > 2)
    throw FormatError(name, "has " + std::to_string(dimensions) +
                                " dimensions; labels have shape [N] and target values [N, width]");
  auto rows = std::make_unique<NpyRows>(std::move(file), name);
  const bool labels = (integer && one_per_sample) || (!integer && dimensions == 1 && all_whole(*rows));
  return {std::move(rows), labels ? TargetKind::Labels : TargetKind::Values};
}

Targets open_targets(const fs::path& path) {
  if (detect_format(path) == Format::Npy) return open_npy_targets(path);
  const std::string name = path.string();
  io::IdxFile file(path);
  if (file.shape().size() != 1)
    throw FormatError(name, "has " + std::to_string(file.shape().size()) +
                                " dimensions, as image files do; IDX labels have one");
  return {std::make_unique<IdxRows>(std::move(file), 1.0f, name), TargetKind::Labels};
}

std::unique_ptr<Dataset> open_files(const std::string& name, const fs::path& data,
                                    const std::optional<fs::path>& labels) {
  auto inputs = open_inputs(data);
  Targets targets{nullptr, TargetKind::None};
  if (labels) targets = open_targets(*labels);
  return std::make_unique<io::RowDataset>(name, std::move(inputs), std::move(targets.rows), targets.kind);
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
  constexpr std::string_view kSynthetic = "synthetic:";
  if (data.starts_with(kSynthetic))
    return open_synthetic(data, std::string_view(data).substr(kSynthetic.size()), labels.has_value(), shape);
  if (const auto name = io::parse_dataset_name(data)) {
    const io::DatasetFiles files = io::find_dataset_files(*name);
    return open_files(data, files.images, labels ? fs::path(*labels) : files.labels);
  }
  std::error_code ignored;
  const bool looks_named = data.find(':') != std::string::npos && data.find('/') == std::string::npos;
  if (data.empty() || (looks_named && !fs::exists(data, ignored)))
    throw ArgumentError("data '" + data + "' is neither a file nor a known name: fashion-mnist:train|test, " +
                        "mnist:train|test, synthetic:N");
  return open_files(data, data, labels ? std::optional<fs::path>(*labels) : std::nullopt);
}

}  // namespace fisherdiag
