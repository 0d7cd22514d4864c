#include "fisherdiag/nn/network.hpp"

#include <cmath>
#include <limits>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace fisherdiag;
using fisherdiag::testing::contains;

namespace {

const std::vector<float> kFour(4, 0.5f);

void write(const std::filesystem::path& path, const std::vector<TensorView>& tensors) {
  write_safetensors(path, tensors, {});
}

}  // namespace

TEST_CASE("a saved network loads with and without its architecture", "[nn]") {
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "w.safetensors";
  const Network network = Network::random(Architecture::parse("mlp:6-5-3"), 7);
  network.save(path, {{"note", "x"}});
  for (const Network& loaded : {Network::load(path), Network::load(path, Architecture::parse("mlp:6-5-3"))}) {
    REQUIRE(loaded.sha256() == network.sha256());
    REQUIRE(std::ranges::equal(loaded.parameters(), network.parameters()));
  }
}

TEST_CASE("random networks have PyTorch's bounds and follow the seed", "[nn]") {
  const Network a = Network::random(Architecture::parse("mlp:100-50-10"), 1);
  const double bound = 1 / std::sqrt(100.0);
  double largest = 0;
  for (float w : a.weight(0)) largest = std::max(largest, std::abs(static_cast<double>(w)));
  REQUIRE(largest <= bound);
  REQUIRE(largest > 0.99 * bound);  // 5000 draws: the chance of none above 0.99 is 0.99^5000 < 1e-21
  REQUIRE(a.sha256() == Network::random(Architecture::parse("mlp:100-50-10"), 1).sha256());
  REQUIRE(a.sha256() != Network::random(Architecture::parse("mlp:100-50-10"), 2).sha256());
}

TEST_CASE("a shared tensor starts within the narrowest of its layers' bounds", "[nn]") {
  const Network tied = Network::random(Architecture::parse(R"({"sequence": [2], "layers": [
      {"type": "embedding", "name": "table", "tokens": 30, "out": 16},
      {"type": "linear", "name": "head", "out": 30, "weight": "table.weight", "bias": false}]})"),
                                       1);
  const auto [least, most] = std::ranges::minmax(tied.parameters());
  // 480 values of a width of 1/2: the extremes are within a twentieth of the ends.
  REQUIRE(most <= 0.25f);
  REQUIRE(most >= 0.2f);
  REQUIRE(least >= -0.25f);
  REQUIRE(least <= -0.2f);
}

TEST_CASE("weights that do not fit the architecture are refused in words", "[nn]") {
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "w.safetensors";
  const Architecture architecture = Architecture::parse("mlp:2-2");
  const std::span<const float> four(kFour), two = four.first(2);

  write(path, {{"0.weight", {2, 2}, four}});
  REQUIRE_THROWS_WITH(Network::load(path, architecture), contains("w.safetensors") && contains("0.bias"));
  write(path, {{"0.weight", {4}, four}, {"0.bias", {2}, two}});
  REQUIRE_THROWS_WITH(Network::load(path, architecture),
                      contains("0.weight") && contains("[4]") && contains("[2, 2]"));
  write(path, {{"0.weight", {2, 2}, four}, {"0.bias", {2}, two}, {"extra", {2}, two}});
  REQUIRE_THROWS_WITH(Network::load(path, architecture), contains("extra"));
  std::vector<float> bad = kFour;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  write(path, {{"0.weight", {2, 2}, bad}, {"0.bias", {2}, two}});
  REQUIRE_THROWS_WITH(Network::load(path, architecture), contains("element 3") && contains("0.weight"));
  REQUIRE_THROWS_WITH(Network::load(path), contains("fisherdiag.arch"));
}

TEST_CASE("batch norm's statistics are read, saved and part of the weights' digest", "[nn]") {
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "w.safetensors";
  const Architecture architecture = Architecture::parse(
      R"({"input": [2], "layers": [{"type": "linear", "name": "a", "out": 2, "bias": false},
          {"type": "batch_norm", "name": "bn", "affine": false}]})");
  const std::span<const float> four(kFour), two = four.first(2);
  const std::vector<float> count{7}, negative{0.5f, -0.5f};
  std::vector<TensorView> tensors{{"a.weight", {2, 2}, four},
                                  {"bn.running_mean", {2}, two},
                                  {"bn.running_var", {2}, two},
                                  {"bn.num_batches_tracked", {1}, count}};
  write(path, tensors);
  const Network network = Network::load(path, architecture);
  REQUIRE(network.parameters().size() == 4);
  REQUIRE(std::ranges::equal(network.buffers(), four));
  network.save(path);
  REQUIRE(Network::load(path).sha256() == network.sha256());
  const Network fresh = Network::random(architecture, 1);
  REQUIRE(std::ranges::equal(fresh.buffers(), std::vector<float>{0, 0, 1, 1}));
  Network other = Network::load(path);
  other.buffers()[0] = 0.25f;
  REQUIRE(other.sha256() != network.sha256());

  tensors[2].values = negative;
  write(path, tensors);
  REQUIRE_THROWS_WITH(Network::load(path, architecture), contains("bn.running_var") && contains("below 0"));
  tensors[2] = {"odd.num_batches_tracked", {1}, count};
  write(path, tensors);
  REQUIRE_THROWS_WITH(Network::load(path, architecture), contains("odd.num_batches_tracked"));
  tensors.resize(2);
  write(path, tensors);
  REQUIRE_THROWS_WITH(Network::load(path, architecture), contains("bn.running_var"));
}
