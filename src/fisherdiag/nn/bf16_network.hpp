// A network's weights rounded to bfloat16 and laid out as the kernels want them.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/nn/bf16_buffer.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

/// Left operands of the forward products (W) and of the backward ones (W transposed); biases stay float32.
class Bf16Network {
 public:
  Bf16Network() = default;
  Bf16Network(const Network& network, const kernels::Bf16Kernels& kernels, const Context& context);
  /// Bytes a packed copy of `architecture` takes.
  static std::size_t bytes(const Architecture& architecture);

  /// [outputs vectors, inputs]
  kernels::ConstBf16Lines forward(std::size_t layer) const { return layers_[layer].forward.view(); }
  /// [inputs vectors, outputs]; none for the first layer.
  kernels::ConstBf16Lines backward(std::size_t layer) const { return layers_[layer].backward.view(); }
  /// Padded with zeros to whole blocks.
  const float* bias(std::size_t layer) const { return layers_[layer].bias.data(); }
  kernels::Nonlinearity nonlinearity(std::size_t layer) const { return layers_[layer].nonlinearity; }

  const kernels::Bf16Kernels& kernels() const { return *kernels_; }

 private:
  struct Layer {
    Bf16LineBuffer forward;
    Bf16LineBuffer backward;
    AlignedBuffer<float> bias;
    kernels::Nonlinearity nonlinearity;
  };

  const kernels::Bf16Kernels* kernels_ = nullptr;
  std::vector<Layer> layers_;
};

}  // namespace fisherdiag
