// What a network is made of, and how the user says so.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fisherdiag/nn/graph.hpp"
#include "fisherdiag/nn/parameter_tensor.hpp"

namespace fisherdiag {

enum class Activation { Identity, Relu, Tanh, Sigmoid };

/// "identity", "relu", "tanh" or "sigmoid".
std::string_view activation_name(Activation activation);

/// y = activation(W x + b): W is [outputs, inputs] row-major as in PyTorch, b is [outputs].
struct LinearLayer {
  std::string name;  ///< parameters are called name.weight and name.bias
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  Activation activation = Activation::Identity;
};

/// A chain of linear layers with activations, or a graph of layers of any kind.
class Architecture {
 public:
  /// Throws ArgumentError if there is no layer, a size is 0 or neighbouring sizes differ.
  explicit Architecture(std::vector<LinearLayer> layers);
  /// Throws UnsupportedError if the graph ends neither in one position, whose features are the outputs, nor
  /// in a sequence, at each position of which they are.
  explicit Architecture(Graph graph);

  /// `mlp:784-256-10[:relu|tanh|sigmoid]` (named "0", "2", "4", ... as in torch.nn.Sequential), a preset
  /// (presets.hpp), the path of a JSON file, or JSON text starting with '{' (docs/architecture-format.md).
  /// Throws ArgumentError, IoError, FormatError; UnsupportedError naming a layer the engine does not cover.
  static Architecture parse(const std::string& text);

  /// The graph; nullptr: the architecture is a chain.
  const Graph* graph() const { return graph_.get(); }
  /// Name of layer `layer` of the chain or node of the graph.
  const std::string& layer_name(std::size_t layer) const {
    return graph_ ? graph_->nodes()[layer].layer.name : layers_[layer].name;
  }
  /// Of a chain; empty for a graph.
  const std::vector<LinearLayer>& layers() const { return layers_; }
  /// weight and bias of each layer, in order; tensors that layers share once.
  const std::vector<ParameterTensor>& parameters() const { return parameters_; }
  std::size_t parameter_count() const { return parameter_count_; }
  std::size_t inputs() const { return graph_ ? graph_->input().size() : layers_.front().inputs; }
  std::size_t outputs() const { return graph_ ? graph_->output().features : layers_.back().outputs; }
  /// Places at which there are outputs; above 1 for sequence models with an output at each position.
  std::size_t positions() const { return graph_ ? graph_->output().positions() : 1; }
  std::size_t weight_offset(std::size_t layer) const { return parameters_[2 * layer].offset; }
  std::size_t bias_offset(std::size_t layer) const { return parameters_[2 * layer + 1].offset; }

  /// Short form for people: "784-256-256-10 relu".
  std::string summary() const;
  /// JSON text that parse() reads back.
  std::string to_json() const;

 private:
  std::shared_ptr<const Graph> graph_;
  std::vector<LinearLayer> layers_;
  std::vector<ParameterTensor> parameters_;
  std::size_t parameter_count_ = 0;
};

/// For what covers chains only: throws UnsupportedError "WHAT covers ..." naming the graph's first layer.
void require_chain(const Architecture& architecture, std::string_view what);

/// For what covers one output per sample only: throws UnsupportedError "WHAT covers ..." for a network with
/// an output at each position of a sequence.
void require_one_position(const Architecture& architecture, std::string_view what);

}  // namespace fisherdiag
