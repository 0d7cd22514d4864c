#include "fisherdiag/nn/bf16_network.hpp"

#include <algorithm>

namespace fisherdiag {

namespace {

constexpr std::size_t kVectorsPerTask = 4 * kernels::kBf16Block;

kernels::Nonlinearity to_kernel(Activation activation) {
  switch (activation) {
    case Activation::Identity:
      return kernels::Nonlinearity::Identity;
    case Activation::Relu:
      return kernels::Nonlinearity::Relu;
    case Activation::Tanh:
      return kernels::Nonlinearity::Tanh;
    case Activation::Sigmoid:
      return kernels::Nonlinearity::Sigmoid;
  }
  return kernels::Nonlinearity::Identity;
}

std::size_t whole_blocks(std::size_t n) {
  return kernels::bf16_blocks(n) * kernels::kBf16Block;
}

}  // namespace

Bf16Network::Bf16Network(const Network& network, const kernels::Bf16Kernels& kernels, const Context& context)
    : kernels_(&kernels) {
  struct Task {
    std::size_t layer;
    bool backward;
    std::size_t first, count;
  };
  std::vector<Task> tasks;
  const auto add_tasks = [&](std::size_t l, bool backward, std::size_t vectors) {
    for (std::size_t v = 0; v < vectors; v += kVectorsPerTask)
      tasks.push_back({l, backward, v, std::min(kVectorsPerTask, vectors - v)});
  };
  for (std::size_t l = 0; l < network.architecture().layers().size(); ++l) {
    const LinearLayer& shape = network.architecture().layers()[l];
    Layer layer{Bf16LineBuffer(shape.outputs, shape.inputs),
                {},
                AlignedBuffer<float>(whole_blocks(shape.outputs)),
                to_kernel(shape.activation)};
    if (l > 0) layer.backward = Bf16LineBuffer(shape.inputs, shape.outputs);
    std::ranges::copy(network.bias(l), layer.bias.begin());
    layers_.push_back(std::move(layer));
    add_tasks(l, false, shape.outputs);
    if (l > 0) add_tasks(l, true, shape.inputs);
  }
  context.parallel_for(tasks.size(), [&](std::size_t i, std::size_t) {
    const Task& t = tasks[i];
    const std::size_t inputs = network.architecture().layers()[t.layer].inputs;
    const float* weight = network.weight(t.layer).data();
    if (t.backward)
      kernels_->lines_from_columns(weight + t.first, inputs,
                                   layers_[t.layer].backward.vectors(t.first, t.count));
    else
      kernels_->lines_from_rows(weight + t.first * inputs, inputs,
                                layers_[t.layer].forward.vectors(t.first, t.count));
  });
}

std::size_t Bf16Network::bytes(const Architecture& architecture) {
  std::size_t total = 0;
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& shape = architecture.layers()[l];
    total += Bf16LineBuffer::bytes(shape.outputs, shape.inputs) + whole_blocks(shape.outputs) * sizeof(float);
    if (l > 0) total += Bf16LineBuffer::bytes(shape.inputs, shape.outputs);
  }
  return total;
}

}  // namespace fisherdiag
