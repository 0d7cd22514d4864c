// A graph of layers evaluated one sample and one number at a time, for checking the engine. Slow and plain on
// purpose.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fisherdiag/fisher/scalar_layer.hpp"
#include "fisherdiag/nn/network.hpp"

namespace fisherdiag::scalar {

/// The graph of an architecture; of a chain, the same layers as a graph with the same parameters.
Graph graph_of(const Architecture& architecture);

/// A network with parameters that may be changed, in Real.
template <class Real>
class ScalarGraph {
 public:
  /// Throws UnsupportedError naming a layer that has no scalar form.
  explicit ScalarGraph(const Network& network);

  const Graph& graph() const { return graph_; }
  Vector<Real>& parameters() { return parameters_; }

  /// What every layer puts out for `sample`; value 0 is the sample itself, the last one the logits.
  std::vector<Vector<Real>> forward(const float* sample) const;
  /// Computes the values of layer `node` and of all after it anew.
  void forward_from(std::size_t node, std::vector<Vector<Real>>& values) const;

  LayerCall<Real> call(std::size_t node, const std::vector<Vector<Real>>& values) const;

 private:
  Graph graph_;
  Vector<Real> parameters_, buffers_;
};

extern template class ScalarGraph<double>;
extern template class ScalarGraph<long double>;

/// J^T seed: the gradient of seed . logits with respect to all parameters; what layers share is summed.
Vector<double> gradient(const ScalarGraph<double>& graph, const std::vector<Vector<double>>& values,
                        const Vector<double>& seed);

}  // namespace fisherdiag::scalar
