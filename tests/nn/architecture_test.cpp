#include "fisherdiag/nn/architecture.hpp"

#include <fstream>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace fisherdiag;

TEST_CASE("mlp shorthand names parameters as torch.nn.Sequential does", "[nn]") {
  const Architecture a = Architecture::parse("mlp:784-256-10:tanh");
  REQUIRE(a.layers().size() == 2);
  REQUIRE(a.layers()[0].activation == Activation::Tanh);
  REQUIRE(a.layers()[1].activation == Activation::Identity);
  REQUIRE(a.parameters()[0].name == "0.weight");
  REQUIRE(a.parameters()[0].shape == std::vector<std::size_t>{256, 784});
  REQUIRE(a.parameters()[2].name == "2.weight");
  REQUIRE(a.parameters()[3].name == "2.bias");
  REQUIRE(a.parameter_count() == 784 * 256 + 256 + 256 * 10 + 10);
  REQUIRE(a.summary() == "784-256-10 tanh");
  REQUIRE(Architecture::parse("mlp:5-3").layers()[0].activation == Activation::Identity);
  REQUIRE(Architecture::parse("mlp:5-4-3").layers()[0].activation == Activation::Relu);
}

TEST_CASE("an architecture survives JSON", "[nn]") {
  const Architecture a({{"features.0", 7, 5, Activation::Sigmoid}, {"head", 5, 3, Activation::Identity}});
  const Architecture b = Architecture::parse(a.to_json());
  REQUIRE(b.to_json() == a.to_json());
  REQUIRE(b.layers()[0].name == "features.0");
  REQUIRE(b.layers()[0].activation == Activation::Sigmoid);
}

TEST_CASE("a JSON file is read, layers without effect are passed over", "[nn]") {
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "arch.json";
  std::ofstream(path)
      << R"({"layers": [{"type": "flatten"}, {"type": "linear", "name": "a", "in": 4, "out": 3},
    {"type": "relu"}, {"type": "dropout"}, {"type": "linear", "name": "b", "in": 3, "out": 2}]})";
  const Architecture a = Architecture::parse(path.string());
  REQUIRE(a.layers().size() == 2);
  REQUIRE(a.parameters()[2].name == "b.weight");
}

TEST_CASE("bad architectures are refused in words", "[nn]") {
  using fisherdiag::testing::contains;
  for (const char* text :
       {"mlp:", "mlp:5", "mlp:5-", "mlp:5-0-3", "mlp:5-x", "mlp:5-3:gelu", "mlp:-5-3",
        "mlp:5-3-2:", "mlp:99999999999999999999-3", "mlp:4294967296-4294967296", "no-such-file"}) {
    CAPTURE(text);
    REQUIRE_THROWS_AS(Architecture::parse(text), ArgumentError);
  }
  for (const char* text : {"{", "{}", R"({"layers": 3})", R"({"layers": [{"type": 3}]})",
                           R"({"layers": [{"type": "linear", "in": 4}]})",
                           R"({"layers": [{"type": "linear", "in": -4, "out": 2}]})",
                           R"({"layers": [{"type": "linear", "in": 4.0, "out": 2}]})",
                           R"({"layers": [{"type": "linear", "in": 18446744073709551617, "out": 2}]})",
                           R"({"layers": [{"type": "linear", "in": 4, "in": 4, "out": 2}]})",
                           R"({"layers": [{"type": "linear", "in": 4, "out": 2, "bais": false}]})",
                           R"({"layers": [{"type": "linear", "name": 7, "in": 4, "out": 2}]})",
                           R"({"layers": [{"type": "linear", "in": 4, "out": 2}], "seed": 1})",
                           R"({"layers": [{"type": "linear", "in": 4, "out": 2}], "format": "other/1"})",
                           R"({"layers": [{"type": "linear", "in": 4, "out": 2}]} more)"}) {
    CAPTURE(text);
    REQUIRE_THROWS_AS(Architecture::parse(text), FormatError);
  }
  REQUIRE_THROWS_AS(Architecture::parse(R"({"layers": )" + std::string(100000, '[')), FormatError);
  REQUIRE_THROWS_WITH(
      Architecture::parse(R"({"layers": [{"type": "linear", "in": 4, "out": 2, "bais": 1}]})"),
      contains("layers[0]") && contains("'bais'"));
  REQUIRE_THROWS_WITH(Architecture::parse(R"({"layers": [{"type": "conv2d", "name": "features.0"}]})"),
                      contains("features.0") && contains("conv2d") && contains("linear, relu"));
  REQUIRE_THROWS_AS(Architecture::parse(R"({"layers": [{"type": "conv2d"}]})"), UnsupportedError);
  REQUIRE_THROWS_AS(
      Architecture::parse(R"({"layers": [{"type": "linear", "in": 4, "out": 2}, {"type": "relu"}]})"),
      UnsupportedError);
  REQUIRE_THROWS_WITH(Architecture({{"a", 4, 3, Activation::Relu}, {"b", 2, 2, Activation::Identity}}),
                      contains("b") && contains("3 outputs"));
}

TEST_CASE("presets have the parameters of their definitions", "[nn]") {
  struct Preset {
    const char* name;
    std::size_t inputs, outputs, parameters;
  };
  for (const Preset& p :
       {Preset{"lenet5", 28 * 28, 10, 61'706}, Preset{"cnn-s", 3 * 32 * 32, 10, 620'362},
        Preset{"vgg11", 3 * 32 * 32, 10, 9'225'610}, Preset{"resnet18-reduced", 3 * 32 * 32, 10, 1'094'770},
        Preset{"transformer-tiny", 64, 10, 933'898}, Preset{"transformer-small", 128, 16'384, 24'217'088}}) {
    CAPTURE(p.name);
    const Architecture a = Architecture::parse(p.name);
    CHECK(a.inputs() == p.inputs);
    CHECK(a.outputs() == p.outputs);
    CHECK(a.parameter_count() == p.parameters);
    CHECK(Architecture::parse(a.to_json()).to_json() == a.to_json());
  }
  CHECK(Architecture::parse("vgg11").parameters()[2].name == "features.3.weight");
  REQUIRE_THROWS_WITH(Architecture::parse("lenet"), fisherdiag::testing::contains("lenet5, cnn-s, vgg11"));
}

TEST_CASE("layers that do not fit are refused by name", "[nn]") {
  const auto refused = [](const std::string& layers) {
    try {
      Architecture::parse(R"({"input": [2, 4, 4], "layers": [)" + layers + "]}");
    } catch (const FormatError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  using fisherdiag::testing::contains;
  const std::string conv = R"({"type": "conv2d", "name": "c", "out": 3, "kernel": 3}, )";
  CHECK_THAT(refused(conv + R"({"type": "max_pool2d", "name": "p", "kernel": 3})"),
             contains("'p'") && contains("does not fit"));
  CHECK_THAT(refused(conv + R"({"type": "avg_pool2d", "name": "p", "kernel": 2, "padding": 2})"),
             contains("'p'") && contains("padding"));
  CHECK_THAT(refused(conv + R"({"type": "max_pool1d", "name": "p", "kernel": 2})"),
             contains("'p'") && contains("1 dimension"));
  CHECK_THAT(refused(conv + R"({"type": "adaptive_avg_pool2d", "name": "p"})"),
             contains("'p'") && contains("'out'"));
  CHECK_THAT(refused(conv + R"({"type": "add", "name": "sum"})"), contains("'sum'") && contains("from"));
  CHECK_THAT(refused(conv + R"({"type": "add", "name": "sum", "from": ["c", "input"]})"),
             contains("'sum'") && contains("[3, 2, 2]") && contains("[2, 4, 4]"));
}
