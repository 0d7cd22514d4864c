#include "fisherdiag/fisher/replay.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace fisherdiag::testing {

namespace {

/// Reference outputs of a 3-2-2 ReLU network, worked out by hand.
struct Reference {
  std::vector<float> inputs{1, 2, 3, -1, 0, 1};
  std::vector<float> hidden{15, -6, 3, 0};  // before the ReLU
  std::vector<float> logits{15, 31, 3, 7};
  std::vector<std::size_t> input_shape{2, 3};
  std::string hidden_name = "layers.0";

  void write(const std::filesystem::path& path) const {
    const std::vector<TensorView> tensors{
        {"inputs", input_shape, inputs}, {hidden_name, {2, 2}, hidden}, {"logits", {2, 2}, logits}};
    write_safetensors(path, tensors, {});
  }
};

Network network() {
  Network network(Architecture::parse("mlp:3-2-2"));
  const std::vector<float> values{1, 2, 3, -1, -1, -1,  // 0.weight
                                  1, 0,                 // 0.bias
                                  1, 0, 2, 1,           // 2.weight
                                  0, 1};                // 2.bias
  std::copy(values.begin(), values.end(), network.parameters().begin());
  return network;
}

}  // namespace

TEST_CASE("replay: outputs by hand agree", "[fisher]") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "r.safetensors";
  Reference reference;
  reference.write(path);
  const ReplayReport report = replay_reference(network(), path);
  REQUIRE(report.passed);
  REQUIRE(report.samples == 2);
  REQUIRE(report.first_difference() == nullptr);
  REQUIRE(report.layers.size() == 2);
  REQUIRE(report.layers[0].name == "0");
  REQUIRE(report.layers[1].name == "logits");
  REQUIRE(report.layers[0].error == 0);
}

TEST_CASE("replay: the first layer that differs is named", "[fisher]") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "r.safetensors";
  Reference reference;
  reference.write(path);
  Network changed = network();
  changed.parameters()[1] = 2.01f;  // 0.weight
  REQUIRE(replay_reference(changed, path).first_difference()->name == "0");
  changed = network();
  changed.parameters()[13] = 1.1f;  // 2.bias
  const ReplayReport report = replay_reference(changed, path);
  REQUIRE_FALSE(report.passed);
  REQUIRE(report.first_difference()->name == "logits");
  // 0.1 in two of the outputs 15, 31, 3, 7
  REQUIRE_THAT(report.layers[1].error, Catch::Matchers::WithinRel(std::sqrt(0.02 / 1244.0), 1e-5));
}

TEST_CASE("replay: files that do not fit the network", "[fisher]") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "r.safetensors";
  const auto refused = [&](const Reference& reference, const std::string& word) {
    reference.write(path);
    REQUIRE_THROWS_WITH(replay_reference(network(), path), contains("r.safetensors") && contains(word));
    REQUIRE_THROWS_AS(replay_reference(network(), path), DataError);
  };
  Reference reference;
  reference.input_shape = {3, 2};
  refused(reference, "'inputs'");
  reference = {};
  reference.hidden_name = "layers.1";
  refused(reference, "'layers.1'");
  reference = {};
  reference.logits[2] = std::numeric_limits<float>::quiet_NaN();
  refused(reference, "'logits'");
  REQUIRE_THROWS_AS(replay_reference(network(), folder.path() / "gone"), IoError);
  REQUIRE(reference_path("a/m.safetensors") == "a/m.reference.safetensors");
  REQUIRE(reference_path("a.b/m") == "a.b/m.reference.safetensors");
}

}  // namespace fisherdiag::testing
