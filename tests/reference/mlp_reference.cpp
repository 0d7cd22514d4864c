#include "reference/mlp_reference.hpp"

#include <cmath>

#include "reference/graph_reference.hpp"

namespace fisherdiag::reference {

namespace {

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::Identity:
      return x;
    case Activation::Relu:
      return x > 0 ? x : 0;
    case Activation::Tanh:
      return std::tanh(x);
    case Activation::Sigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return x;
}

double slope(Activation activation, double x) {
  const double y = activate(activation, x);
  switch (activation) {
    case Activation::Identity:
      return 1;
    case Activation::Relu:
      return x > 0 ? 1 : 0;
    case Activation::Tanh:
      return 1 - y * y;
    case Activation::Sigmoid:
      return y * (1 - y);
  }
  return 1;
}

/// W input + b.
Vector affine(const Mlp& mlp, const Layer& layer, const Vector& input) {
  Vector output(layer.outputs);
  for (std::size_t o = 0; o < layer.outputs; ++o) {
    output[o] = mlp.parameters[layer.bias_offset + o];
    for (std::size_t i = 0; i < layer.inputs; ++i)
      output[o] += mlp.parameters[layer.weight_offset + o * layer.inputs + i] * input[i];
  }
  return output;
}

}  // namespace

Mlp make_mlp(const Network& network) {
  Mlp mlp;
  const Architecture& architecture = network.architecture();
  if (architecture.graph()) mlp.graph = std::make_shared<const Architecture>(architecture);
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& layer = architecture.layers()[l];
    mlp.layers.push_back({layer.inputs, layer.outputs, layer.activation, architecture.weight_offset(l),
                          architecture.bias_offset(l)});
  }
  mlp.parameters.assign(network.parameters().begin(), network.parameters().end());
  mlp.buffers.assign(network.buffers().begin(), network.buffers().end());
  return mlp;
}

Vector forward(const Mlp& mlp, const Vector& x) {
  if (mlp.graph) return graph_forward(*mlp.graph->graph(), mlp.parameters, mlp.buffers, x);
  Vector output = x;
  for (const Layer& layer : mlp.layers) {
    output = affine(mlp, layer, output);
    for (double& value : output) value = activate(layer.activation, value);
  }
  return output;
}

Vector gradient(const Mlp& mlp, const Vector& x, const Vector& seed) {
  if (mlp.graph) return graph_gradient(*mlp.graph->graph(), mlp.parameters, mlp.buffers, x, seed);
  std::vector<Vector> inputs, sums;  // of each layer: what it sees, and W input + b
  Vector output = x;
  for (const Layer& layer : mlp.layers) {
    inputs.push_back(output);
    sums.push_back(affine(mlp, layer, output));
    output = sums.back();
    for (double& value : output) value = activate(layer.activation, value);
  }
  Vector result(mlp.parameters.size(), 0.0);
  Vector sensitivity = seed;  // of the layer's output
  for (std::size_t l = mlp.layers.size(); l-- > 0;) {
    const Layer& layer = mlp.layers[l];
    Vector below(layer.inputs, 0.0);
    for (std::size_t o = 0; o < layer.outputs; ++o) {
      const double delta = sensitivity[o] * slope(layer.activation, sums[l][o]);
      result[layer.bias_offset + o] = delta;
      for (std::size_t i = 0; i < layer.inputs; ++i) {
        const std::size_t w = layer.weight_offset + o * layer.inputs + i;
        result[w] = delta * inputs[l][i];
        below[i] += delta * mlp.parameters[w];
      }
    }
    sensitivity = below;
  }
  return result;
}

}  // namespace fisherdiag::reference
