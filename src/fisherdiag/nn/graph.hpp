// A network as layers that take what earlier layers put out, and may share parameters.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fisherdiag/nn/layer_description.hpp"
#include "fisherdiag/nn/parameter_tensor.hpp"
#include "fisherdiag/nn/value_shape.hpp"

namespace fisherdiag {

/// A layer and where it stands. Value 0 is the network's input; layer i puts out value i + 1.
struct GraphNode {
  LayerDescription layer;
  std::vector<std::size_t> inputs;      ///< values, all smaller than its own
  std::vector<std::size_t> parameters;  ///< tensors, in the order of Op::parameters()
  std::vector<std::size_t> buffers;     ///< tensors, in the order of Op::buffers()
  ValueShape output;
};

/// Layers in an order in which they can be computed; the last one's output is the network's.
class Graph {
 public:
  /// A layer called NAME has the tensors NAME.weight and NAME.bias unless its fields "weight" or "bias" name
  /// others; tensors named twice are shared. Throws ArgumentError naming the layer for names that are taken
  /// or unknown, fields and shapes that do not fit; UnsupportedError naming the layer for a type the engine
  /// does not have.
  Graph(ValueShape input, std::vector<LayerDescription> layers);

  const ValueShape& input() const { return input_; }
  const ValueShape& output() const { return nodes_.back().output; }
  const std::vector<GraphNode>& nodes() const { return nodes_; }
  /// The shape of value `v`.
  const ValueShape& value(std::size_t v) const { return v == 0 ? input_ : nodes_[v - 1].output; }

  const std::vector<ParameterTensor>& parameters() const { return parameters_; }
  std::size_t parameter_count() const { return parameter_count_; }
  /// Constants of the layers, as the statistics of batch norm, in a vector of their own.
  const std::vector<ParameterTensor>& buffers() const { return buffers_; }
  std::size_t buffer_count() const {
    return buffers_.empty() ? 0 : buffers_.back().offset + buffers_.back().size;
  }
  /// What buffer t starts with.
  float buffer_start(std::size_t t) const { return buffer_starts_[t]; }
  /// Initial values of tensor t are uniform in start +- bound, the narrowest of the layers that use it.
  double start(std::size_t t) const { return initial_[t].start; }
  double bound(std::size_t t) const { return initial_[t].bound; }
  /// Layers that use tensor t.
  std::size_t uses(std::size_t t) const { return initial_[t].uses; }

  /// The network's input holds whole numbers below this; 0: any numbers.
  std::size_t tokens() const { return tokens_; }

  /// "graph of 12 layers, [3, 32, 32] to 10".
  std::string summary() const;

 private:
  struct Initial {
    double start, bound;
    std::size_t uses;
  };
  void add(LayerDescription layer);
  std::size_t tensor_of(const LayerDescription& layer, const std::string& role,
                        const std::vector<std::size_t>& shape, Initial initial);

  ValueShape input_;
  std::vector<GraphNode> nodes_;
  std::vector<ParameterTensor> parameters_;
  std::vector<Initial> initial_;
  std::vector<ParameterTensor> buffers_;
  std::vector<float> buffer_starts_;
  std::size_t parameter_count_ = 0, tokens_ = 0;
};

}  // namespace fisherdiag
