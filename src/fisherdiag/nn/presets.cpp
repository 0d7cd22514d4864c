#include "fisherdiag/nn/presets.hpp"

#include <vector>

#include "fisherdiag/nn/presets_transformer.hpp"

namespace fisherdiag {

namespace {

using Sizes = std::vector<std::size_t>;

/// Layers one after the other.
class Chain {
 public:
  Chain& conv(const std::string& name, std::size_t out, std::size_t kernel, std::size_t padding) {
    layers_.push_back(
        {"conv2d", name, {}, {{"out", Sizes{out}}, {"kernel", Sizes{kernel}}, {"padding", Sizes{padding}}}});
    return plain("relu", name + ".relu");
  }
  Chain& pool(const std::string& name) {
    layers_.push_back({"max_pool2d", name, {}, {{"kernel", Sizes{2}}}});
    return *this;
  }
  Chain& linear(const std::string& name, std::size_t out) {
    layers_.push_back({"linear", name, {}, {{"out", Sizes{out}}}});
    return *this;
  }
  Chain& plain(const std::string& type, const std::string& name) {
    layers_.push_back({type, name, {}, {}});
    return *this;
  }
  Graph on(ValueShape input) { return {std::move(input), std::move(layers_)}; }

 private:
  std::vector<LayerDescription> layers_;
};

Graph lenet5() {
  return Chain()
      .conv("conv1", 6, 5, 2)
      .pool("pool1")
      .conv("conv2", 16, 5, 0)
      .pool("pool2")
      .plain("flatten", "flatten")
      .linear("fc1", 120)
      .plain("relu", "fc1.relu")
      .linear("fc2", 84)
      .plain("relu", "fc2.relu")
      .linear("fc3", 10)
      .on({{28, 28}, 1, true});
}

Graph cnn_s() {
  return Chain()
      .conv("conv1", 32, 3, 1)
      .pool("pool1")
      .conv("conv2", 64, 3, 1)
      .pool("pool2")
      .conv("conv3", 128, 3, 1)
      .pool("pool3")
      .plain("flatten", "flatten")
      .linear("fc1", 256)
      .plain("relu", "fc1.relu")
      .linear("fc2", 10)
      .on({{32, 32}, 3, true});
}

/// Names as torchvision's: a place in `features` for every convolution, activation and pooling.
Graph vgg11() {
  Chain chain;
  std::size_t place = 0;
  const auto next = [&] { return "features." + std::to_string(place); };
  for (const std::size_t channels : {64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0}) {
    if (channels) {
      chain.conv(next(), channels, 3, 1);
      place += 2;
    } else {
      chain.pool(next());
      ++place;
    }
  }
  return chain.plain("flatten", "flatten").linear("classifier", 10).on({{32, 32}, 3, true});
}

}  // namespace

std::optional<Graph> preset_graph(const std::string& name) {
  if (name == "lenet5") return lenet5();
  if (name == "cnn-s") return cnn_s();
  if (name == "vgg11") return vgg11();
  if (name == "transformer-tiny") return transformer_tiny();
  if (name == "transformer-small") return transformer_small();
  return std::nullopt;
}

std::string preset_names() {
  return "lenet5, cnn-s, vgg11, transformer-tiny, transformer-small";
}

}  // namespace fisherdiag
