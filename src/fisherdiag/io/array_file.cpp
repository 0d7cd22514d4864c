#include "fisherdiag/io/array_file.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/csv.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/gzip.hpp"
#include "fisherdiag/io/idx.hpp"
#include "fisherdiag/io/memory_rows.hpp"
#include "fisherdiag/io/npy.hpp"
#include "fisherdiag/io/npy_header.hpp"
#include "fisherdiag/io/quoted_name.hpp"
#include "fisherdiag/io/zip.hpp"

namespace fisherdiag::io {

namespace {

namespace fs = std::filesystem;

class NpyRows final : public RowSource {
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

class IdxRows final : public RowSource {
 public:
  IdxRows(IdxFile file, float divisor, std::string name)
      : file_(std::move(file)), divisor_(divisor), name_(std::move(name)) {}

  std::size_t rows() const override { return file_.shape()[0]; }
  std::size_t width() const override { return file_.row_elements(); }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t first, MatrixView<float> out) override { file_.read_rows(first, out, divisor_); }

 private:
  IdxFile file_;
  float divisor_;
  std::string name_;
};

enum class Format { Npy, Npz, Idx, Csv };

bool is_csv(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension == ".csv";
}

/// Tells the format by the file's first bytes, whatever its name; text has none that would tell.
Format detect_format(const fs::path& path) {
  if (is_csv(path)) return Format::Csv;
  const InputFile file(path);
  if (file.size() == 0) throw FormatError(file.name(), "is empty");
  std::array<char, 6> start{};
  file.read_at(
      0, std::as_writable_bytes(std::span(start)).first(std::min<std::uint64_t>(start.size(), file.size())));
  const std::string_view magic(start.data(), start.size());
  if (magic == kNpyMagic) return Format::Npy;
  if (is_gzip(file) || magic.substr(0, 2) == std::string_view("\0\0", 2)) return Format::Idx;
  if (magic.substr(0, 2) == "PK") return Format::Npz;
  throw FormatError(file.name(),
                    "starts with the magic bytes of none of .npy, .npz, IDX and gzip, and is not called .csv",
                    0);
}

ArrayFile from_npy(NpyFile file, const std::string& name) {
  ArrayFile result;
  result.dimensions = file.shape().size();
  result.integer = file.is_integer();
  if (file.shape().empty()) throw FormatError(name, "holds a single number, not samples");
  result.rows = std::make_unique<NpyRows>(std::move(file), name);
  return result;
}

/// Members of an archive that are arrays.
std::vector<const ZipMember*> arrays_of(const ZipArchive& archive) {
  std::vector<const ZipMember*> arrays;
  for (const ZipMember& member : archive.members())
    if (member.name.ends_with(".npy")) arrays.push_back(&member);
  return arrays;
}

std::string list_arrays(const ZipArchive& archive) {
  constexpr std::size_t kMostListed = 8;
  const std::vector<const ZipMember*> arrays = arrays_of(archive);
  std::string text;
  for (std::size_t i = 0; i < std::min(arrays.size(), kMostListed); ++i)
    text += (i ? ", " : "") + quoted_name(arrays[i]->name.substr(0, arrays[i]->name.size() - 4));
  return arrays.empty() ? "no array" : text + (arrays.size() > kMostListed ? ", ..." : "");
}

/// The array that `words` mean, or nullptr.
const ZipMember* choose_array(const ZipArchive& archive, const ArrayWords& words, ArrayRole role) {
  if (!words.member.empty()) {
    const ZipMember* named = archive.find(words.member + ".npy");
    return named ? named : archive.find(words.member);
  }
  const bool inputs = role == ArrayRole::Inputs;
  for (const char* name : {inputs ? "x.npy" : "y.npy", inputs ? "arr_0.npy" : "arr_1.npy"})
    if (const ZipMember* found = archive.find(name)) return found;
  const std::vector<const ZipMember*> arrays = arrays_of(archive);
  return arrays.size() == 1 ? arrays[0] : nullptr;
}

ArrayFile open_npz(const ArrayWords& words, ArrayRole role) {
  const ZipArchive archive(words.path);
  const ZipMember* member = choose_array(archive, words, role);
  if (!member) {
    const std::string wanted =
        !words.member.empty() ? "no array called " + quoted_name(words.member)
        : role == ArrayRole::Inputs
            ? std::string("several arrays and none called 'x'; write FILE.npz:NAME to choose one")
            : std::string("several arrays and none called 'y'; write FILE.npz:NAME to choose one");
    throw DataError(archive.name() + ": has " + wanted + "; it holds " + list_arrays(archive));
  }
  auto stream = archive.open(*member);
  const std::string name = stream->name();
  return from_npy(NpyFile(std::move(stream)), name);
}

ArrayFile open_idx(const fs::path& path, ArrayRole role) {
  constexpr float kWhitePixel = 255.0f;
  const std::string name = path.string();
  IdxFile file(path);
  const std::size_t dimensions = file.shape().size();
  if (role == ArrayRole::Inputs && dimensions < 2)
    throw FormatError(name,
                      "holds one number per sample, as label files do; data needs at least two dimensions");
  if (role == ArrayRole::Targets && dimensions != 1)
    throw FormatError(
        name, "has " + std::to_string(dimensions) + " dimensions, as image files do; IDX labels have one");
  ArrayFile result;
  result.dimensions = dimensions;
  result.integer = is_integer(file.type());
  const bool pixels = role == ArrayRole::Inputs && file.type() == ElementType::U8;
  result.rows = std::make_unique<IdxRows>(std::move(file), pixels ? kWhitePixel : 1.0f, name);
  return result;
}

ArrayFile open_csv(const fs::path& path) {
  CsvTable table = read_csv(path);
  ArrayFile result;
  result.dimensions = table.columns == 1 ? 1 : 2;
  result.rows = std::make_unique<MemoryRows>(path.string(), std::move(table.values), table.columns);
  return result;
}

}  // namespace

ArrayFile open_array(const ArrayWords& words, ArrayRole role) {
  const Format format = detect_format(words.path);
  if (!words.member.empty() && format != Format::Npz)
    throw FormatError(words.path.string(),
                      "is no .npz archive, so it has no array called " + quoted_name(words.member));
  switch (format) {
    case Format::Npy:
      return from_npy(NpyFile(words.path), words.path.string());
    case Format::Npz:
      return open_npz(words, role);
    case Format::Idx:
      return open_idx(words.path, role);
    case Format::Csv:
      return open_csv(words.path);
  }
  return {};
}

bool brings_targets(const ArrayWords& words) {
  if (!words.member.empty() || detect_format(words.path) != Format::Npz) return false;
  const ZipArchive archive(words.path);
  return arrays_of(archive).size() > 1 && choose_array(archive, {words.path, {}}, ArrayRole::Targets);
}

}  // namespace fisherdiag::io
