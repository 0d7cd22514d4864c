#include <atomic>
#include <stdexcept>
#include <thread>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/block_reader.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;

namespace {

constexpr std::size_t kFeatures = 3;

/// Sample n is n, n + 1/4, n + 1/2; its label n mod 5. Says who read last, and fails where it is told to.
class Numbers final : public Dataset {
 public:
  explicit Numbers(std::size_t size) : size_(size) {}
  std::size_t size() const override { return size_; }
  std::size_t features() const override { return kFeatures; }
  TargetKind target_kind() const override { return TargetKind::Labels; }
  std::size_t target_width() const override { return 1; }
  const std::string& name() const override { return name_; }
  void read_inputs(std::size_t first, MatrixView<float> inputs) override {
    reader = std::this_thread::get_id();
    ++reads;
    if (first + inputs.rows > fails_at) throw IoError("numbers: cannot be read");
    for (std::size_t r = 0; r < inputs.rows; ++r)
      for (std::size_t c = 0; c < kFeatures; ++c)
        inputs(r, c) = static_cast<float>(first + r) + 0.25f * static_cast<float>(c);
  }
  void read_targets(std::size_t first, MatrixView<float> targets) override {
    for (std::size_t r = 0; r < targets.rows; ++r) targets(r, 0) = static_cast<float>((first + r) % 5);
  }

  std::thread::id reader;
  std::size_t reads = 0;
  std::size_t fails_at = SIZE_MAX;

 private:
  std::size_t size_;
  std::string name_ = "numbers";
};

void check_rows(const BlockReader& reader, std::size_t first, std::size_t count) {
  REQUIRE(reader.inputs().rows == count);
  REQUIRE(reader.targets().rows == count);
  for (std::size_t r = 0; r < count; ++r) {
    CHECK(reader.samples()[r] == first + r);
    CHECK(reader.inputs()(r, 2) == static_cast<float>(first + r) + 0.5f);
    CHECK(reader.targets()(r, 0) == static_cast<float>((first + r) % 5));
  }
}

}  // namespace

TEST_CASE("a block that is read ahead leaves the present one alone and comes next, from another thread") {
  Numbers data(20);
  BlockReader reader(data, {}, 8, true);
  reader.read(0, 8);
  CHECK(data.reader == std::this_thread::get_id());
  reader.read_ahead(8, 8);
  check_rows(reader, 0, 8);
  reader.read(8, 8);
  check_rows(reader, 8, 8);
  CHECK(data.reader != std::this_thread::get_id());
  CHECK(data.reads == 2);
  reader.read_ahead(16, 4);
  reader.read(16, 4);
  check_rows(reader, 16, 4);
}

TEST_CASE("what was read ahead and is not asked for is forgotten, with its error") {
  Numbers data(20);
  BlockReader reader(data, {}, 8, true);
  data.fails_at = 10;
  reader.read_ahead(4, 8);
  reader.read(0, 8);
  check_rows(reader, 0, 8);
  reader.read_ahead(8, 2);
  reader.select({1, 3, 4});
  reader.read(0, 3);
  CHECK(reader.samples()[1] == 3);
  CHECK(reader.inputs()(2, 0) == 4.0f);
}

TEST_CASE("an error of reading ahead is thrown where the block is asked for, every time") {
  Numbers data(20);
  BlockReader reader(data, {}, 8, true);
  data.fails_at = 10;
  reader.read_ahead(8, 8);
  CHECK(test::message_of<IoError>([&] { reader.read(8, 8); }) == "numbers: cannot be read");
  CHECK(test::message_of<IoError>([&] { reader.read(8, 8); }) == "numbers: cannot be read");
  reader.read_ahead(8, 8);  // and a reader can go while it reads
}

TEST_CASE("a pass that reads ahead gives the same bits and the same errors") {
  const Network network = test::make_network("mlp:3-40-5", 3);
  const auto run = [&](std::size_t fails_at) {
    Numbers data(40000);
    data.fails_at = fails_at;
    // Fewer threads than the machine has, if it can be: then reading always goes ahead.
    return compute_fisher(network, data, {}, Context(1)).sha256();
  };
  CHECK(run(SIZE_MAX) == run(SIZE_MAX));
  CHECK(test::message_of<IoError>([&] { run(20000); }) == "numbers: cannot be read");
}
