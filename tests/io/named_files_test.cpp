#include "fisherdiag/io/named_files.hpp"

#include <cstdlib>
#include <optional>
#include <set>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

/// FISHERDIAG_DATA set to `value` while it lives.
class DataFolder {
 public:
  explicit DataFolder(const std::filesystem::path& value) {
    if (const char* before = std::getenv("FISHERDIAG_DATA")) before_ = before;
    ::setenv("FISHERDIAG_DATA", value.c_str(), 1);
  }
  ~DataFolder() {
    if (before_) ::setenv("FISHERDIAG_DATA", before_->c_str(), 1);
    if (!before_) ::unsetenv("FISHERDIAG_DATA");
  }

 private:
  std::optional<std::string> before_;
};

void write_tiny_mnist(const TemporaryFolder& folder) {
  std::filesystem::create_directory(folder / "mnist");
  const std::string images =
      std::string("\0\0\x08\x03", 4) + big_endian(2, 4) + big_endian(1, 4) + big_endian(1, 4);
  const std::string labels = std::string("\0\0\x08\x01", 4) + big_endian(2, 4);
  folder.file("mnist/train-images-idx3-ubyte.gz", gzip_stored(images + std::string("\0\xFF", 2)));
  folder.file("mnist/train-labels-idx1-ubyte", labels + "\x01\x02");
  folder.file("mnist/t10k-images-idx3-ubyte", images + "ab");
}

}  // namespace

TEST_CASE("named files: names", "[named]") {
  REQUIRE(io::parse_dataset_name("mnist:train")->set == "mnist");
  REQUIRE(io::parse_dataset_name("fashion-mnist:test")->split == "test");
  REQUIRE_FALSE(io::parse_dataset_name("images.npy"));
  REQUIRE_FALSE(io::parse_dataset_name("mnist.npy"));
  require_error<ArgumentError>("mnist:dev", "mnist:train or mnist:test",
                               [] { io::parse_dataset_name("mnist:dev"); });
}

TEST_CASE("named files: found under FISHERDIAG_DATA, plain or compressed", "[named]") {
  const TemporaryFolder folder;
  write_tiny_mnist(folder);
  const DataFolder environment(folder.path());
  const auto data = open_dataset("mnist:train", std::nullopt);
  REQUIRE(data->name() == "mnist:train");
  REQUIRE(data->size() == 2);
  REQUIRE(data->target_kind() == TargetKind::Labels);
  std::vector<float> values(2);
  data->read_inputs(0, MatrixView<float>(values.data(), 2, 1));
  REQUIRE(values == std::vector<float>{0, 1});
  data->read_targets(0, MatrixView<float>(values.data(), 2, 1));
  REQUIRE(values == std::vector<float>{1, 2});
}

TEST_CASE("named files: other labels can be given", "[named]") {
  const TemporaryFolder folder;
  write_tiny_mnist(folder);
  const DataFolder environment(folder.path());
  const auto own = folder.file("own", std::string("\0\0\x08\x01\0\0\0\x02\x07\x08", 10));
  const auto data = open_dataset("mnist:train", own.string());
  std::vector<float> values(2);
  data->read_targets(0, MatrixView<float>(values.data(), 2, 1));
  REQUIRE(values == std::vector<float>{7, 8});
}

TEST_CASE("named files: missing ones say where they were looked for", "[named]") {
  const TemporaryFolder folder;
  write_tiny_mnist(folder);  // its test half has no labels
  const DataFolder environment(folder.path());
  const std::string message = message_of<IoError>([] { open_dataset("mnist:test", std::nullopt); });
  REQUIRE(message.find("t10k-labels-idx1-ubyte") != std::string::npos);
  REQUIRE(message.find((folder / "mnist").string()) != std::string::npos);
  REQUIRE(message.find("fetch_data.sh mnist") != std::string::npos);
}

TEST_CASE("named files: Debian's Fashion-MNIST opens in full", "[named]") {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")) {
    WARN("NOT TESTED: the package dataset-fashion-mnist is not installed");
    return;
  }
  for (const auto& [name, samples] : {std::pair<const char*, std::size_t>{"fashion-mnist:train", 60'000},
                                      std::pair<const char*, std::size_t>{"fashion-mnist:test", 10'000}}) {
    const auto data = open_dataset(name, std::nullopt);
    REQUIRE(data->size() == samples);
    REQUIRE(data->features() == 784);
    std::vector<float> labels(samples);
    data->read_targets(0, MatrixView<float>(labels.data(), samples, 1));
    REQUIRE(std::set<float>(labels.begin(), labels.end()).size() == 10);
    std::vector<float> image(784);  // the last one: the stream is read and checked to its end
    data->read_inputs(samples - 1, MatrixView<float>(image.data(), 1, 784));
    REQUIRE(*std::max_element(image.begin(), image.end()) > 0.5f);
  }
}

}  // namespace fisherdiag::test
