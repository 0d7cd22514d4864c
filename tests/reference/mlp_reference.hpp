// The oracle's network: float64, one sample at a time, as plain as the textbook. Never used in production.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "fisherdiag/nn/network.hpp"

namespace fisherdiag::reference {

using Vector = std::vector<double>;

struct Layer {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  Activation activation = Activation::Identity;
  std::size_t weight_offset = 0;  ///< of W [outputs, inputs] in the flat parameter vector
  std::size_t bias_offset = 0;
};

struct Mlp {
  std::vector<Layer> layers;
  Vector parameters;
  Vector buffers;  ///< constants, as the statistics of batch norm
  std::shared_ptr<const Architecture> graph;  ///< instead of layers, where the network is a graph

  std::size_t inputs() const { return graph ? graph->inputs() : layers.front().inputs; }
  std::size_t outputs() const { return graph ? graph->outputs() : layers.back().outputs; }
};

/// The network's float32 parameters, taken to double.
Mlp make_mlp(const Network& network);

/// The network's output for input x.
Vector forward(const Mlp& mlp, const Vector& x);

/// J^T seed: the gradient of seed . f(x) with respect to all parameters.
Vector gradient(const Mlp& mlp, const Vector& x, const Vector& seed);

}  // namespace fisherdiag::reference
