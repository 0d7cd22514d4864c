#include "fisherdiag/nn/packed_network.hpp"

#include <algorithm>

namespace fisherdiag {

namespace {

constexpr std::size_t kStripsPerTask = 8;

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

std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

/// Columns [first, first + columns) of a buffer; first is a multiple of the lanes.
kernels::Strips strip_range(StripBuffer& buffer, std::size_t first, std::size_t columns, std::size_t lanes) {
  kernels::Strips all = buffer.view();
  return {all.data + first / lanes * all.stride, all.rows, columns, all.stride};
}

}  // namespace

PackedNetwork::PackedNetwork(const Architecture& architecture, const Context& context)
    : kernels_(&kernels::kernel_table(context.isa())) {
  require_chain(architecture, "training");
  const std::size_t lanes = kernels_->lanes;
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& shape = architecture.layers()[l];
    Layer layer{StripBuffer(shape.inputs, shape.outputs, lanes), {}, {}, to_kernel(shape.activation)};
    if (l > 0) layer.backward = StripBuffer(shape.outputs, shape.inputs, lanes);
    layer.bias = AlignedBuffer<float>(round_up(shape.outputs, lanes));
    layers_.push_back(std::move(layer));
  }
}

std::size_t PackedNetwork::bytes(const Architecture& architecture, std::size_t lanes) {
  std::size_t total = 0;
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& shape = architecture.layers()[l];
    total += StripBuffer::bytes(shape.inputs, shape.outputs, lanes);
    if (l > 0) total += StripBuffer::bytes(shape.outputs, shape.inputs, lanes);
  }
  return total;
}

void PackedNetwork::pack_columns(const Network& network, std::size_t l, bool backward, std::size_t first,
                                 std::size_t columns) {
  const std::size_t inputs = network.architecture().layers()[l].inputs;
  const float* weight = network.weight(l).data();
  if (backward)
    kernels_->to_strips(weight + first, inputs,
                        strip_range(layers_[l].backward, first, columns, kernels_->lanes), {});
  else
    kernels_->transpose_to_strips(weight + first * inputs, inputs,
                                  strip_range(layers_[l].forward, first, columns, kernels_->lanes));
}

void PackedNetwork::pack(const Network& network, const Context& context) {
  struct Task {
    std::size_t layer;
    bool backward;
    std::size_t first, columns;
  };
  std::vector<Task> tasks;
  const std::size_t step = kStripsPerTask * kernels_->lanes;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const LinearLayer& shape = network.architecture().layers()[l];
    for (std::size_t c = 0; c < shape.outputs; c += step)
      tasks.push_back({l, false, c, std::min(step, shape.outputs - c)});
    if (l > 0)
      for (std::size_t c = 0; c < shape.inputs; c += step)
        tasks.push_back({l, true, c, std::min(step, shape.inputs - c)});
    std::ranges::copy(network.bias(l), layers_[l].bias.begin());
  }
  context.parallel_for(tasks.size(), [&](std::size_t i, std::size_t) {
    pack_columns(network, tasks[i].layer, tasks[i].backward, tasks[i].first, tasks[i].columns);
  });
}

void PackedNetwork::forward(std::size_t l, const kernels::ConstStrips& input, const kernels::Strips& output,
                            const kernels::Strips& squared, const kernels::SkipScratch& scratch) const {
  kernels::GemmArguments product;
  product.a = input;
  product.b = layers_[l].forward.view();
  product.c = output;
  product.bias = layers_[l].bias.data();
  product.nonlinearity = layers_[l].nonlinearity;
  product.squared = squared;
  kernels_->gemm_skip(product, scratch);
}

void PackedNetwork::backward(std::size_t l, const kernels::ConstStrips& delta,
                             const kernels::ConstStrips& activation, const kernels::Strips& below,
                             const kernels::Strips& squared, bool squared_overwrite,
                             const kernels::SkipScratch& scratch) const {
  kernels::GemmArguments product;
  product.a = delta;
  product.b = layers_[l].backward.view();
  product.c = below;
  product.nonlinearity = layers_[l - 1].nonlinearity;
  product.factor = activation;
  product.squared = squared;
  product.squared_overwrite = squared_overwrite;
  kernels_->gemm_skip(product, scratch);
}

}  // namespace fisherdiag
