// Rows of a table, by token or by position.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/scalar_rules.hpp"

namespace fisherdiag::scalar {

namespace {

struct EmbeddingLayer {
  /// Where the row of position t starts in the table.
  template <class Real>
  static std::size_t row(const LayerCall<Real>& call, std::size_t t) {
    const Real id = (*call.inputs[0])[t];
    const std::size_t features = call.output.features, tokens = call.tensors[0].size() / features;
    if (!(id >= 0 && id < static_cast<Real>(tokens)) || id != std::floor(id))
      throw DataError("position " + std::to_string(t) + " of a sample holds " +
                      std::to_string(static_cast<double>(id)) + ", but layer '" + call.layer.name +
                      "' takes token ids from 0 to " + std::to_string(tokens - 1));
    return static_cast<std::size_t>(id) * features;
  }
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    const std::size_t features = call.output.features;
    Vector<Real> y(call.output.size());
    for (std::size_t e = 0; e < y.size(); ++e) y[e] = call.tensors[0][row(call, e / features) + e % features];
    return y;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerFields fields(call.layer);
    const std::size_t features = call.output.features;
    const std::size_t padding = fields.has("padding_idx") ? fields.sizes("padding_idx", 1, 0, 0)[0] * features
                                                          : std::numeric_limits<std::size_t>::max();
    LayerGradients g(call);
    for (std::size_t e = 0; e < delta.size(); ++e)
      if (const std::size_t first = row(call, e / features); first != padding)
        g.tensors[0][first + e % features] += delta[e];
    return g;
  }
};

struct PositionalEmbeddingLayer {
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    Vector<Real> y = *call.inputs[0];
    for (std::size_t e = 0; e < y.size(); ++e) y[e] += call.tensors[0][e];
    return y;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerGradients g(call);
    g.inputs[0] = delta;
    std::copy(delta.begin(), delta.end(), g.tensors[0].begin());
    return g;
  }
};

}  // namespace

LayerRule embedding_rule() {
  return rule_of<EmbeddingLayer>();
}
LayerRule positional_embedding_rule() {
  return rule_of<PositionalEmbeddingLayer>();
}

}  // namespace fisherdiag::scalar
