// Data in archives, in text and in many files, through open_dataset.
#include <string>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/io/npy.hpp"
#include "fisherdiag/io/split_rows.hpp"
#include "io/zip_files.hpp"

namespace fisherdiag::test {

namespace {

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

/// Rows of two numbers, the first its own.
std::string npy(const TemporaryFolder& folder, const std::string& name, std::vector<float> first) {
  std::vector<float> values;
  for (const float v : first) values.insert(values.end(), {v, -v});
  const std::vector<std::size_t> shape{first.size(), 2};
  write_npy(folder / name, values, shape);
  return (folder / name).string();
}

std::string label_npy(const TemporaryFolder& folder, const std::string& name, std::vector<float> labels) {
  const std::vector<std::size_t> shape{labels.size()};
  write_npy(folder / name, labels, shape);
  return (folder / name).string();
}

std::vector<float> all_first(Dataset& data) {
  const std::vector<float> inputs = inputs_of(data, 0, data.size());
  std::vector<float> first;
  for (std::size_t n = 0; n < data.size(); ++n) first.push_back(inputs[2 * n]);
  return first;
}

}  // namespace

TEST_CASE("split data: lists and patterns, in natural order", "[dataset]") {
  const TemporaryFolder folder;
  npy(folder, "part-10.npy", {6, 7});
  npy(folder, "part-2.npy", {3, 4, 5});
  npy(folder, "part-1.npy", {1, 2});
  label_npy(folder, "y-1.npy", {0, 1});
  label_npy(folder, "y-2.npy", {2, 0, 1});
  label_npy(folder, "y-10.npy", {1, 2});
  const std::string base = folder.path().string() + "/";
  const std::string list = base + "part-1.npy," + base + "part-2.npy," + base + "part-10.npy";
  for (const std::string& words : {base + "part-*.npy", list, base + "part-?.npy," + base + "part-10.npy"}) {
    const auto data = open_dataset(words, base + "y-*.npy");
    REQUIRE(data->size() == 7);
    REQUIRE(data->target_kind() == TargetKind::Labels);
    REQUIRE(all_first(*data) == std::vector<float>{1, 2, 3, 4, 5, 6, 7});
    REQUIRE(targets_of(*data, 0, 7) == std::vector<float>{0, 1, 2, 0, 1, 1, 2});
    REQUIRE(inputs_of(*data, 4, 2) == std::vector<float>{5, -5, 6, -6});  // across files
    REQUIRE(inputs_of(*data, 6, 1) == std::vector<float>{7, -7});         // within the last
    REQUIRE(inputs_of(*data, 0, 1) == std::vector<float>{1, -1});         // and back
    REQUIRE(dataset_files(words) ==
            std::vector<std::string>{base + "part-1.npy", base + "part-2.npy", base + "part-10.npy"});
  }
}

TEST_CASE("split data: names with commas and stars are names where such a file exists", "[dataset]") {
  const TemporaryFolder folder;
  npy(folder, "a.npy", {1});
  npy(folder, "a,b.npy", {2});
  npy(folder, "*.npy", {3});
  REQUIRE(all_first(*open_dataset((folder / "a,b.npy").string(), {})) == std::vector<float>{2});
  REQUIRE(all_first(*open_dataset((folder / "*.npy").string(), {})) == std::vector<float>{3});
}

TEST_CASE("split data: parts that do not belong together", "[dataset]") {
  const TemporaryFolder folder;
  const std::string a = npy(folder, "a.npy", {1, 2}), b = npy(folder, "b.npy", {3});
  const std::string narrow = label_npy(folder, "narrow.npy", {1});
  require_error<DataError>("narrow.npy", "rows of 1 values", [&] { open_dataset(a + "," + narrow, {}); });
  require_error<IoError>("*.gone", "no file matches",
                         [&] { open_dataset((folder / "*.gone").string(), {}); });
  require_error<IoError>("gone.npy", "No such file",
                         [&] { open_dataset(a + "," + (folder / "gone.npy").string(), {}); });
  require_error<ArgumentError>("a.npy", "empty name", [&] { open_dataset(a + ",", {}); });
  const std::string one = label_npy(folder, "one.npy", {0}), two = label_npy(folder, "two.npy", {0, 1});
  require_error<DataError>("one.npy", "holds 1 targets", [&] { open_dataset(a + "," + b, one + "," + two); });
  const std::string three = label_npy(folder, "three.npy", {0, 1, 1});
  REQUIRE(targets_of(*open_dataset(a + "," + b, three), 0, 3) == std::vector<float>{0, 1, 1});
}

TEST_CASE("split data: digits compare as numbers", "[dataset]") {
  REQUIRE(io::natural_less("part-2", "part-10"));
  REQUIRE_FALSE(io::natural_less("part-10", "part-2"));
  REQUIRE(io::natural_less("a2b3", "a2b10"));
  REQUIRE(io::natural_less("a", "a0"));
  REQUIRE(io::natural_less("a01", "a1"));
  REQUIRE_FALSE(io::natural_less("a1", "a01"));
  REQUIRE_FALSE(io::natural_less("x7", "x7"));
  REQUIRE(io::natural_less("a9", "b1"));
}

TEST_CASE("npz data: which array is meant", "[dataset]") {
  const TemporaryFolder folder;
  npy(folder, "x.npy", {1, 2});
  label_npy(folder, "y.npy", {1, 0});
  const std::string x = read_file(folder / "x.npy"), y = read_file(folder / "y.npy");
  for (const bool deflated : {false, true}) {
    for (const auto& names : {std::vector<std::string>{"x.npy", "y.npy"}, {"arr_0.npy", "arr_1.npy"}}) {
      const auto path = folder.file("a.npz", zip_of({{names[1], y, deflated}, {names[0], x, deflated}}));
      const auto data = open_dataset(path.string(), std::nullopt);
      REQUIRE(all_first(*data) == std::vector<float>{1, 2});
      REQUIRE(targets_of(*data, 0, 2) == std::vector<float>{1, 0});
      REQUIRE(open_dataset(path.string() + ":" + names[0], std::nullopt)->target_kind() == TargetKind::None);
    }
    const auto odd = folder.file("odd.npz", zip_of({{"in.npy", x, deflated}, {"out.npy", y, deflated}}));
    require_error<DataError>("odd.npz", "'in', 'out'", [&] { open_dataset(odd.string(), {}); });
    require_error<DataError>("odd.npz", "'none'", [&] { open_dataset(odd.string() + ":none", {}); });
    const auto data = open_dataset(odd.string() + ":in", odd.string() + ":out");
    REQUIRE(targets_of(*data, 1, 1) == std::vector<float>{0});
    const auto alone = folder.file("alone.npz", zip_of({{"any.npy", x, deflated}}));
    REQUIRE(open_dataset(alone.string(), (folder / "y.npy").string())->size() == 2);
  }
  const auto none = folder.file("none.npz", zip_of({{"readme.txt", "hello"}}));
  require_error<DataError>("none.npz", "no array", [&] { open_dataset(none.string(), {}); });
  const auto torn = folder.file("torn.npz", zip_of({{"x.npy", x.substr(0, x.size() - 1)}}));
  require_error<FormatError>("torn.npz:x.npy", "truncated", [&] { open_dataset(torn.string(), {}); });
  const auto plain = folder.file("plain.npz", x);
  require_error<FormatError>("plain.npz", "no .npz archive",
                             [&] { open_dataset(plain.string() + ":x", {}); });
}

TEST_CASE("csv data: inputs and labels", "[dataset]") {
  const TemporaryFolder folder;
  const auto x = folder.file("x.csv", "height,width\n1,-1\n2,-2\n"),
             y = folder.file("Y.CSV", "class\n4\n0\n");
  const auto data = open_dataset(x.string(), y.string());
  REQUIRE(all_first(*data) == std::vector<float>{1, 2});
  REQUIRE(data->target_kind() == TargetKind::Labels);
  REQUIRE(targets_of(*data, 0, 2) == std::vector<float>{4, 0});
  REQUIRE(open_dataset(x.string(), x.string())->target_kind() == TargetKind::Values);
  const auto nan = folder.file("nan.csv", "1,2\n3,nan\n");
  const auto bad = open_dataset(nan.string(), {});
  require_error<DataError>(nan, "sample 1 is NaN", [&] { inputs_of(*bad, 0, 2); });
}

}  // namespace fisherdiag::test
