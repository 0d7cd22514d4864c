#include "fisherdiag/nn/presets.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fisherdiag/nn/presets_transformer.hpp"

namespace fisherdiag {

namespace {

using Sizes = std::vector<std::size_t>;

/// Layers one after the other, but where they say otherwise.
class Layers {
 public:
  Layers& add(const std::string& type, const std::string& name, std::map<std::string, LayerField> fields = {},
              std::vector<std::string> from = {}) {
    layers_.push_back({type, name, std::move(from), std::move(fields)});
    return *this;
  }
  Layers& conv(const std::string& name, std::size_t out, std::size_t kernel, std::size_t padding) {
    return add("conv2d", name, {{"out", Sizes{out}}, {"kernel", Sizes{kernel}}, {"padding", Sizes{padding}}});
  }
  Layers& conv_relu(const std::string& name, std::size_t out, std::size_t kernel, std::size_t padding) {
    return conv(name, out, kernel, padding).add("relu", name + ".relu");
  }
  Layers& pool(const std::string& name) { return add("max_pool2d", name, {{"kernel", Sizes{2}}}); }
  Layers& linear(const std::string& name, std::size_t out) {
    return add("linear", name, {{"out", Sizes{out}}});
  }
  Graph on(ValueShape input) { return {std::move(input), std::move(layers_)}; }

 private:
  std::vector<LayerDescription> layers_;
};

Graph lenet5() {
  return Layers()
      .conv_relu("conv1", 6, 5, 2)
      .pool("pool1")
      .conv_relu("conv2", 16, 5, 0)
      .pool("pool2")
      .add("flatten", "flatten")
      .linear("fc1", 120)
      .add("relu", "fc1.relu")
      .linear("fc2", 84)
      .add("relu", "fc2.relu")
      .linear("fc3", 10)
      .on({{28, 28}, 1, true});
}

Graph cnn_s() {
  return Layers()
      .conv_relu("conv1", 32, 3, 1)
      .pool("pool1")
      .conv_relu("conv2", 64, 3, 1)
      .pool("pool2")
      .conv_relu("conv3", 128, 3, 1)
      .pool("pool3")
      .add("flatten", "flatten")
      .linear("fc1", 256)
      .add("relu", "fc1.relu")
      .linear("fc2", 10)
      .on({{32, 32}, 3, true});
}

/// Names as torchvision's: a place in `features` for every convolution, activation and pooling.
Graph vgg11() {
  Layers chain;
  std::size_t place = 0;
  const auto next = [&] { return "features." + std::to_string(place); };
  for (const std::size_t channels : {64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0}) {
    if (channels) {
      chain.conv_relu(next(), channels, 3, 1);
      place += 2;
    } else {
      chain.pool(next());
      ++place;
    }
  }
  return chain.add("flatten", "flatten").linear("classifier", 10).on({{32, 32}, 3, true});
}

/// A residual block of two convolutions (He et al. 2016): `path` + names as torchvision's.
void basic_block(Layers& layers, const std::string& path, const std::string& input, std::size_t in,
                 std::size_t out, std::size_t stride, bool relu) {
  const auto conv = [&](const std::string& name, std::size_t kernel, std::size_t by,
                        const std::string& from) {
    layers.add("conv2d", name,
               {{"out", Sizes{out}},
                {"kernel", Sizes{kernel}},
                {"stride", Sizes{by}},
                {"padding", Sizes{kernel / 2}},
                {"bias", false}},
               {from});
  };
  conv(path + "conv1", 3, stride, input);
  layers.add("batch_norm", path + "bn1").add("relu", path + "relu1");
  conv(path + "conv2", 3, 1, path + "relu1");
  layers.add("batch_norm", path + "bn2");
  std::string shortcut = input;
  if (stride != 1 || in != out) {
    conv(path + "downsample.0", 1, stride, input);
    shortcut = path + "downsample.1";
    layers.add("batch_norm", shortcut);
  }
  layers.add("add", path + "add", {}, {path + "bn2", shortcut});
  if (relu) layers.add("relu", path + "relu2");
}

/// As van de Ven 2025 has it: the last block ends without ReLU.
Graph resnet18_reduced() {
  Layers layers;
  layers.conv("conv1", 20, 3, 1).add("batch_norm", "bn1").add("relu", "relu");
  std::string before = "relu";
  std::size_t in = 20;
  for (std::size_t stage = 1; stage <= 4; ++stage)
    for (std::size_t block = 0; block < 2; ++block) {
      const std::string path = "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
      const std::size_t out = std::size_t{10} << stage;
      const bool last = stage == 4 && block == 1;
      basic_block(layers, path, before, in, out, stage > 1 && block == 0 ? 2 : 1, !last);
      before = path + (last ? "add" : "relu2");
      in = out;
    }
  return layers.add("adaptive_avg_pool2d", "avgpool", {{"out", Sizes{1}}})
      .add("flatten", "flatten")
      .linear("fc", 10)
      .on({{32, 32}, 3, true});
}

using Maker = Graph (*)();

const std::vector<std::pair<std::string, Maker>>& makers() {
  static const std::vector<std::pair<std::string, Maker>> all{{"lenet5", lenet5},
                                                              {"cnn-s", cnn_s},
                                                              {"vgg11", vgg11},
                                                              {"resnet18-reduced", resnet18_reduced},
                                                              {"transformer-tiny", transformer_tiny},
                                                              {"transformer-small", transformer_small}};
  return all;
}

}  // namespace

std::optional<Graph> preset_graph(const std::string& name) {
  for (const auto& [known, make] : makers())
    if (name == known) return make();
  return std::nullopt;
}

std::string preset_names() {
  std::string names;
  for (const auto& [name, make] : makers()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

}  // namespace fisherdiag
