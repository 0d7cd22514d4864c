#include "support/inputs.hpp"

#include <array>
#include <map>
#include <memory>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"

namespace fisherdiag::bench {

const std::vector<Model>& models() {
  static const std::vector<Model> all{{"mlp-784-32-10", "mlp:784-32-10", 65536},
                                      {"mlp-784-256-256-10", "mlp:784-256-256-10", 32768},
                                      {"mlp-784-400-400-10", "mlp:784-400-400-10", 16384},
                                      {"mlp-784-1024-1024-10", "mlp:784-1024-1024-10", 16384},
                                      {"mlp-784-4096-4096-10", "mlp:784-4096-4096-10", 4096}};
  return all;
}

const std::vector<Model>& class_models() {
  static const std::vector<Model> all{{"mlp-784-256-256-2", "mlp:784-256-256-2", 32768},
                                      {"mlp-784-256-256-10", "mlp:784-256-256-10", 32768},
                                      {"mlp-784-256-256-100", "mlp:784-256-256-100", 8192},
                                      {"mlp-784-256-256-1000", "mlp:784-256-256-1000", 1024}};
  return all;
}

const std::vector<Model>& preset_models() {
  static const std::vector<Model> all{{"lenet5", "lenet5", 8192},
                                      {"cnn-s", "cnn-s", 1024},
                                      {"resnet18-reduced", "resnet18-reduced", 256},
                                      {"transformer-tiny", "transformer-tiny", 512},
                                      {"vgg11", "vgg11", 128}};
  return all;
}

Model find_model(const std::string& name) {
  for (const Model& model : models())
    if (model.name == name) return model;
  for (const Model& model : class_models())
    if (model.name == name) return model;
  throw ArgumentError("no benchmark model '" + name + "'");
}

const Network& shared_network(const Model& model) {
  static std::map<std::string, std::unique_ptr<Network>> networks;
  std::unique_ptr<Network>& network = networks[model.name];
  if (!network)
    network = std::make_unique<Network>(Network::random(Architecture::parse(model.architecture), 1));
  return *network;
}

Dataset& shared_data(const Model& model, std::size_t samples) {
  const Architecture& architecture = shared_network(model).architecture();
  static std::map<std::array<std::size_t, 4>, std::unique_ptr<Dataset>> datasets;
  const std::size_t tokens = architecture.graph() ? architecture.graph()->tokens() : 0;
  std::unique_ptr<Dataset>& data = datasets[{architecture.inputs(), tokens, architecture.outputs(), samples}];
  if (!data) {
    const auto source = open_dataset("synthetic:" + std::to_string(samples), std::nullopt,
                                     {architecture.inputs(), architecture.outputs(), tokens});
    data = load_into_memory(*source);
  }
  return *data;
}

std::vector<float> random_values(std::size_t n, std::uint64_t seed) {
  RandomStream random(seed, random_stream::kSynthetic, 0);
  std::vector<float> values(n);
  for (float& value : values) {
    const double u = 2.0 * random.next_uniform() - 1.0;
    value = u > 0 ? static_cast<float>(u) : 0.f;
  }
  return values;
}

}  // namespace fisherdiag::bench
