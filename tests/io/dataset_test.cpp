#include "fisherdiag/io/dataset.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/npy.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

using Shape = std::vector<std::size_t>;

std::filesystem::path float_npy(const TemporaryFolder& folder, const std::string& name,
                                std::vector<float> values, const Shape& shape) {
  write_npy(folder / name, values, shape);
  return folder / name;
}

std::filesystem::path int64_npy(const TemporaryFolder& folder, const std::string& name,
                                const std::vector<std::int64_t>& values, const std::string& shape) {
  const std::string header = "{'descr': '<i8', 'fortran_order': False, 'shape': " + shape + "}";
  std::string bytes = std::string("\x93NUMPY\x01\0", 8) + little_endian(header.size(), 2) + header;
  for (const std::int64_t value : values) bytes += little_endian(static_cast<std::uint64_t>(value), 8);
  return folder.file(name, bytes);
}

std::filesystem::path idx(const TemporaryFolder& folder, const std::string& name,
                          const std::vector<std::uint32_t>& dimensions, const std::string& data) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(dimensions.size())};
  for (const std::uint32_t dimension : dimensions) bytes += big_endian(dimension, 4);
  return folder.file(name, bytes + data);
}

std::vector<float> inputs_of(Dataset& data, std::size_t first, std::size_t count) {
  std::vector<float> values(count * data.features());
  data.read_inputs(first, MatrixView<float>(values.data(), count, data.features()));
  return values;
}

std::vector<float> targets_of(Dataset& data, std::size_t first, std::size_t count) {
  std::vector<float> values(count * data.target_width());
  data.read_targets(first, MatrixView<float>(values.data(), count, data.target_width()));
  return values;
}

const float kNaN = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("dataset: npy inputs with no targets", "[dataset]") {
  const TemporaryFolder folder;
  const auto path = float_npy(folder, "x", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {3, 2, 2});
  const auto data = open_dataset(path.string(), std::nullopt);
  REQUIRE(data->size() == 3);
  REQUIRE(data->features() == 4);
  REQUIRE(data->target_kind() == TargetKind::None);
  REQUIRE(data->target_width() == 0);
  REQUIRE(data->name() == path.string());
  REQUIRE(inputs_of(*data, 1, 2) == std::vector<float>{4, 5, 6, 7, 8, 9, 10, 11});
  REQUIRE(inputs_of(*data, 0, 1) == std::vector<float>{0, 1, 2, 3});
  REQUIRE(targets_of(*data, 0, 3).empty());
}

TEST_CASE("dataset: idx images become floats from 0 to 1, idx labels stay whole", "[dataset]") {
  const TemporaryFolder folder;
  const auto images = idx(folder, "images", {2, 1, 2}, std::string("\x00\xFF\x33\x80", 4));
  const auto labels = idx(folder, "labels", {2}, "\x09\x03");
  const auto data = open_dataset(images.string(), labels.string());
  REQUIRE(data->target_kind() == TargetKind::Labels);
  REQUIRE(data->target_width() == 1);
  REQUIRE(inputs_of(*data, 0, 2) == std::vector<float>{0.0f, 1.0f, 0.2f, 128.0f / 255.0f});
  REQUIRE(targets_of(*data, 0, 2) == std::vector<float>{9, 3});
}

TEST_CASE("dataset: what makes targets labels or values", "[dataset]") {
  const TemporaryFolder folder;
  const std::string x = float_npy(folder, "x", {1, 2, 3}, {3, 1}).string();
  const auto kind = [&](const std::filesystem::path& labels) {
    return open_dataset(x, labels.string())->target_kind();
  };
  REQUIRE(kind(int64_npy(folder, "y", {0, 5, 2}, "(3,)")) == TargetKind::Labels);
  REQUIRE(kind(int64_npy(folder, "y", {0, 5, 2}, "(3, 1)")) == TargetKind::Labels);
  REQUIRE(kind(int64_npy(folder, "y", {0, 5, 2, 3, 4, 5}, "(3, 2)")) == TargetKind::Values);
  REQUIRE(kind(float_npy(folder, "y", {0, 5, 2}, {3})) == TargetKind::Labels);
  REQUIRE(kind(float_npy(folder, "y", {0, 5, 2.5}, {3})) == TargetKind::Values);
  REQUIRE(kind(float_npy(folder, "y", {0, 5, -1}, {3})) == TargetKind::Values);
  REQUIRE(kind(float_npy(folder, "y", {0, 5, 2}, {3, 1})) == TargetKind::Values);
  // The one fraction is the last of many.
  std::vector<float> many(200'000, 1.0f);
  const std::string x_many = float_npy(folder, "x-many", many, {many.size()}).string();
  many.back() = 0.5f;
  const auto data = open_dataset(x_many, float_npy(folder, "y", many, {many.size()}).string());
  REQUIRE(data->target_kind() == TargetKind::Values);
  REQUIRE(data->target_width() == 1);
  REQUIRE(targets_of(*data, many.size() - 2, 2) == std::vector<float>{1.0f, 0.5f});
}

TEST_CASE("dataset: values that cannot be used are named", "[dataset]") {
  const TemporaryFolder folder;
  const auto read_x = [](const std::filesystem::path& path) {
    return [path] {
      const auto data = open_dataset(path.string(), std::nullopt);
      inputs_of(*data, 1, 2);
    };
  };
  require_error<DataError>("x.npy", "feature 1 of sample 2 is NaN",
                           read_x(float_npy(folder, "x.npy", {0, 1, 2, 3, 4, kNaN}, {3, 2})));
  require_error<DataError>("x.npy", "feature 0 of sample 1 is infinite",
                           read_x(float_npy(folder, "x.npy", {0, 1, -HUGE_VALF, 3, 4, kNaN}, {3, 2})));
  const std::string x = float_npy(folder, "x", {1, 2, 3}, {3, 1}).string();
  const auto read_y = [&](const std::filesystem::path& path) {
    return [&x, path] {
      const auto data = open_dataset(x, path.string());
      targets_of(*data, 0, 3);
    };
  };
  require_error<DataError>("y.npy", "sample 2 is NaN", read_y(float_npy(folder, "y.npy", {1, 2, kNaN}, {3})));
  require_error<DataError>("y.npy", "target value 1 of sample 0",
                           read_y(float_npy(folder, "y.npy", {1, HUGE_VALF, 1, 1, 1, 1}, {3, 2})));
  require_error<DataError>("y.npy", "label of sample 1 is -1",
                           read_y(int64_npy(folder, "y.npy", {0, -1, 2}, "(3,)")));
  require_error<DataError>("y.npy", "label of sample 0",
                           read_y(int64_npy(folder, "y.npy", {1 << 24, 0, 2}, "(3,)")));
}

TEST_CASE("dataset: files that do not fit together", "[dataset]") {
  const TemporaryFolder folder;
  const std::string x = idx(folder, "images-idx", {2, 1, 2}, "abcd").string();
  const std::string y = idx(folder, "labels-idx", {2}, "ab").string();
  const auto open = [](const std::string& data, const std::optional<std::string>& labels) {
    return [data, labels] { open_dataset(data, labels); };
  };
  const std::string three = idx(folder, "three-idx", {3}, "abc").string();
  require_error<DataError>("three-idx", "3 targets", open(x, three));
  require_error<FormatError>("labels-idx", "label files", open(y, x));
  require_error<FormatError>("images-idx", "image files", open(x, x));
  require_error<FormatError>("cube.npy", "3 dimensions",
                             open(x, float_npy(folder, "cube.npy", {1, 2}, {2, 1, 1}).string()));
  require_error<FormatError>("one.npy", "single number",
                             open(float_npy(folder, "one.npy", {1}, {}).string(), {}));
  require_error<DataError>("none.npy", "no samples",
                           open(float_npy(folder, "none.npy", {}, {0, 4}).string(), {}));
  require_error<DataError>("none-idx", "no samples", open(idx(folder, "none-idx", {0, 4}, "").string(), {}));
  require_error<DataError>("flat.npy", "no features",
                           open(float_npy(folder, "flat.npy", {}, {4, 0}).string(), {}));
  require_error<DataError>("empty-y.npy", "no values",
                           open(x, float_npy(folder, "empty-y.npy", {}, {2, 0}).string()));
}

TEST_CASE("dataset: files of no known format", "[dataset]") {
  const TemporaryFolder folder;
  const auto open = [](const std::filesystem::path& path) {
    return [path] { open_dataset(path.string(), std::nullopt); };
  };
  require_error<IoError>("missing.npy", "No such file", open(folder / "missing.npy"));
  require_error<IoError>(folder.path(), "is a folder", open(folder.path()));
  require_error<FormatError>("empty.npy", "is empty", open(folder.file("empty.npy", "")));
  require_error<FormatError>("text.npy", "magic", open(folder.file("text.npy", "1,2,3\n")));
  require_error<FormatError>("short.npy", "magic", open(folder.file("short.npy", "1")));
  require_error<FormatError>("zip.npz", "truncated", open(folder.file("zip.npz", "PK\x03\x04 and more")));
  require_error<FormatError>("zip.gz", "not an IDX",
                             open(folder.file("zip.gz", gzip_stored("no idx in here"))));
}

TEST_CASE("dataset: names that are no data", "[dataset]") {
  const auto open = [](const std::string& data, const std::optional<std::string>& labels = std::nullopt,
                       const SyntheticShape& shape = {4, 3}) {
    return [=] { open_dataset(data, labels, shape); };
  };
  for (const char* name : {"", "cifar10:train", "synthetic-10:4"})
    require_error<ArgumentError>(name, "neither a file nor a known name", open(name));
  for (const char* name : {"fashion-mnist:validation", "fashion-mnist:", "fashion-mnist", "mnist:Train"})
    require_error<ArgumentError>(name, "is unknown", open(name));
  for (const char* name : {"synthetic:", "synthetic:ten", "synthetic:-1", "synthetic:1e3", "synthetic: 5",
                           "synthetic:5x", "synthetic:99999999999999999999"})
    require_error<ArgumentError>(name, "malformed", open(name));
  require_error<DataError>("synthetic:0", "no samples", open("synthetic:0"));
  require_error<ArgumentError>("synthetic:5", "own labels", open("synthetic:5", "labels.npy"));
  require_error<ArgumentError>("synthetic:5", "at least one", open("synthetic:5", std::nullopt, {0, 3}));
  require_error<ArgumentError>("synthetic:5", "at least one", open("synthetic:5", std::nullopt, {4, 0}));
}

TEST_CASE("dataset: reads outside it are refused", "[dataset]") {
  const auto data = make_dataset({1, 2, 3, 4, 5, 6}, 2, {0, 1, 2});
  REQUIRE(inputs_of(*data, 3, 0).empty());
  require_error<ArgumentError>("memory", "there are 3", [&] { inputs_of(*data, 2, 2); });
  require_error<ArgumentError>("memory", "there are 3", [&] { inputs_of(*data, 4, 0); });
  require_error<ArgumentError>("memory", "there are 3", [&] { inputs_of(*data, SIZE_MAX, 1); });
  require_error<ArgumentError>("memory", "there are 3", [&] { targets_of(*data, 3, 1); });
  std::vector<float> out(6);
  require_error<ArgumentError>("memory", "columns",
                               [&] { data->read_inputs(0, MatrixView<float>(out.data(), 2, 3)); });
  require_error<ArgumentError>("memory", "columns",
                               [&] { data->read_targets(0, MatrixView<float>(out.data(), 2, 2)); });
}

TEST_CASE("dataset: the caller's arrays", "[dataset]") {
  const auto labels = make_dataset({1, 2, 3, 4}, 2, {7, 0}, {}, 0, "mine");
  REQUIRE(labels->name() == "mine");
  REQUIRE(labels->target_kind() == TargetKind::Labels);
  REQUIRE(inputs_of(*labels, 1, 1) == std::vector<float>{3, 4});
  REQUIRE(targets_of(*labels, 0, 2) == std::vector<float>{7, 0});
  const auto values = make_dataset({1, 2}, 1, {}, {1, 2, 3, 4}, 2);
  REQUIRE(values->target_kind() == TargetKind::Values);
  REQUIRE(targets_of(*values, 1, 1) == std::vector<float>{3, 4});
  REQUIRE(make_dataset({1, 2}, 1)->target_kind() == TargetKind::None);

  require_error<ArgumentError>("memory", "rows", [] { make_dataset({1, 2, 3}, 2); });
  require_error<ArgumentError>("memory", "rows", [] { make_dataset({1, 2}, 0); });
  require_error<ArgumentError>("memory", "rows", [] { make_dataset({1}, 1, {}, {1}, 0); });
  require_error<ArgumentError>("memory", "both", [] { make_dataset({1}, 1, {1}, {1}, 1); });
  require_error<DataError>("memory", "targets", [] { make_dataset({1, 2}, 1, {1}); });
  require_error<DataError>("memory", "no samples", [] { make_dataset({}, 1); });
  const auto bad = make_dataset({1, kNaN}, 1, {0, -1});
  require_error<DataError>("memory", "sample 1 is NaN", [&] { inputs_of(*bad, 0, 2); });
  require_error<DataError>("memory", "label of sample 1", [&] { targets_of(*bad, 0, 2); });
}

TEST_CASE("dataset: loaded into memory it reads the same, in any order", "[dataset]") {
  const TemporaryFolder folder;
  constexpr std::uint32_t kSamples = 1000, kWidth = 300;  // more than one block of the loader
  std::string pixels(kSamples * kWidth, '\0'), classes(kSamples, '\0');
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<char>(i * 7 % 251);
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<char>(i % 10);
  const auto plain = idx(folder, "x", {kSamples, kWidth}, pixels);
  const auto images = folder.file("x.gz", gzip_stored(read_file(plain)));
  const auto labels = idx(folder, "y", {kSamples}, classes);
  const auto file = open_dataset(images.string(), labels.string());
  const auto memory = load_into_memory(*file);
  REQUIRE(memory->name() == file->name());
  REQUIRE(memory->size() == kSamples);
  REQUIRE(memory->features() == kWidth);
  REQUIRE(memory->target_kind() == TargetKind::Labels);
  REQUIRE(inputs_of(*memory, 0, kSamples) == inputs_of(*file, 0, kSamples));
  REQUIRE(targets_of(*memory, 0, kSamples) == targets_of(*file, 0, kSamples));
  for (const std::size_t first : {999u, 0u, 500u}) {
    REQUIRE(inputs_of(*memory, first, 1) == inputs_of(*file, first, 1));
    REQUIRE(targets_of(*memory, first, 1) == std::vector<float>{static_cast<float>(first % 10)});
  }
}

}  // namespace fisherdiag::test
