// A network's weights laid out as the kernels want them.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

/// Weights in strips for the forward product (a W^T) and for the backward one (d W), packed once and used for
/// every block of samples.
class PackedNetwork {
 public:
  PackedNetwork(const Architecture& architecture, const Context& context);
  /// Bytes a packed copy of `architecture` takes.
  static std::size_t bytes(const Architecture& architecture, std::size_t lanes);

  /// Lays out the current parameters of `network`, which must have the architecture given at construction.
  void pack(const Network& network, const Context& context);

  /// Layer `layer`: output = f(input W^T + b) for the rows of `input`; also output^2 if `squared` has data.
  /// The last layer's nonlinearity belongs to the likelihood and is Identity in every architecture.
  /// With `scratch` zeros of the input are left out where that pays; the values are the same.
  void forward(std::size_t layer, const kernels::ConstStrips& input, const kernels::Strips& output,
               const kernels::Strips& squared, const kernels::SkipScratch& scratch = {}) const;

  /// Sensitivities of layer `layer` (> 0) taken to those of the layer below: below = (delta W) * f'(output
  /// below). delta holds groups of activation.rows rows (one group per seed); see GemmArguments for
  /// `squared`.
  void backward(std::size_t layer, const kernels::ConstStrips& delta, const kernels::ConstStrips& activation,
                const kernels::Strips& below, const kernels::Strips& squared, bool squared_overwrite,
                const kernels::SkipScratch& scratch = {}) const;

  const kernels::KernelTable& kernels() const { return *kernels_; }

 private:
  struct Layer {
    StripBuffer forward;   // [inputs, outputs]
    StripBuffer backward;  // [outputs, inputs]; empty for the first layer
    AlignedBuffer<float> bias;
    kernels::Nonlinearity nonlinearity;
  };
  void pack_columns(const Network& network, std::size_t layer, bool backward, std::size_t first,
                    std::size_t columns);

  const kernels::KernelTable* kernels_;
  std::vector<Layer> layers_;
};

}  // namespace fisherdiag
