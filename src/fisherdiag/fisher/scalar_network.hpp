// A network evaluated one sample and one number at a time, for checking the engine. Slow and plain on
// purpose.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "fisherdiag/nn/network.hpp"

namespace fisherdiag::scalar {

template <class Real>
using Vector = std::vector<Real>;

template <class Real>
Real activate(Activation activation, Real z) {
  switch (activation) {
    case Activation::Identity:
      return z;
    case Activation::Relu:
      return z > 0 ? z : Real(0);
    case Activation::Tanh:
      return std::tanh(z);
    case Activation::Sigmoid:
      return 1 / (1 + std::exp(-z));
  }
  return z;
}

template <class Real>
Real activation_slope(Activation activation, Real z) {
  const Real a = activate(activation, z);
  switch (activation) {
    case Activation::Identity:
      return 1;
    case Activation::Relu:
      return z > 0 ? 1 : 0;
    case Activation::Tanh:
      return 1 - a * a;
    case Activation::Sigmoid:
      return a * (1 - a);
  }
  return 1;
}

/// What a layer takes in and its value before the activation.
template <class Real>
struct LayerState {
  Vector<Real> input;
  Vector<Real> sum;
};

template <class Real>
Vector<Real> weighted_sum(const Network& network, std::size_t layer, const Vector<Real>& input) {
  const LinearLayer& shape = network.architecture().layers()[layer];
  Vector<Real> sum(shape.outputs);
  for (std::size_t o = 0; o < shape.outputs; ++o) {
    const float* weight = network.weight(layer).data() + o * shape.inputs;
    sum[o] = static_cast<Real>(network.bias(layer)[o]);
    for (std::size_t i = 0; i < shape.inputs; ++i) sum[o] += static_cast<Real>(weight[i]) * input[i];
  }
  return sum;
}

template <class Real>
Vector<Real> activated(const Network& network, std::size_t layer, const Vector<Real>& sum) {
  Vector<Real> output(sum.size());
  for (std::size_t o = 0; o < sum.size(); ++o)
    output[o] = activate(network.architecture().layers()[layer].activation, sum[o]);
  return output;
}

/// Every layer's state for one sample; the last layer's sums are the logits.
template <class Real>
std::vector<LayerState<Real>> forward(const Network& network, const float* sample) {
  const std::size_t layers = network.architecture().layers().size();
  std::vector<LayerState<Real>> states(layers);
  Vector<Real> input(sample, sample + network.architecture().inputs());
  for (std::size_t l = 0; l < layers; ++l) {
    states[l].sum = weighted_sum(network, l, input);
    Vector<Real> output = activated(network, l, states[l].sum);
    states[l].input = std::move(input);
    input = std::move(output);
  }
  return states;
}

/// Sensitivities d(seed . logits) / d(sum of layer l) for every layer.
std::vector<Vector<double>> backward(const Network& network, const std::vector<LayerState<double>>& states,
                                     const Vector<double>& seed);

}  // namespace fisherdiag::scalar
