// Attention of several heads, and the mean over positions.
#include <algorithm>
#include <cmath>

#include "fisherdiag/fisher/scalar_rules.hpp"

namespace fisherdiag::scalar {

namespace {

/// Positions whose token is padding, where the layer has a padding_idx; its last input are the token ids.
template <class Real>
std::vector<bool> padded_positions(const LayerCall<Real>& call) {
  LayerFields fields(call.layer);
  std::vector<bool> padded(call.shapes[0].positions(), false);
  if (!fields.has("padding_idx")) return padded;
  const auto padding = static_cast<Real>(fields.sizes("padding_idx", 1, 0, 0)[0]);
  for (std::size_t t = 0; t < padded.size(); ++t) padded[t] = (*call.inputs.back())[t] == padding;
  return padded;
}

/// Queries, keys and values: parts 0, 1, 2, of one input or three.
template <class Real>
struct Heads {
  const LayerCall<Real>& call;
  std::size_t positions, features, heads, width;
  bool packed, causal;
  std::vector<bool> padded;

  explicit Heads(const LayerCall<Real>& call_)
      : call(call_),
        positions(call_.output.positions()),
        features(call_.output.features),
        heads(LayerFields(call_.layer).size("heads", 1)),
        width(features / heads),
        packed(call_.shapes[0].features == 3 * features),
        causal(LayerFields(call_.layer).flag("causal", false)),
        padded(padded_positions(call_)) {}

  std::size_t input(std::size_t part) const { return packed ? 0 : part; }
  std::size_t place(std::size_t part, std::size_t t, std::size_t column) const {
    return packed ? (3 * t + part) * features + column : t * features + column;
  }
  Real at(std::size_t part, std::size_t t, std::size_t column) const {
    return (*call.inputs[input(part)])[place(part, t, column)];
  }
  Real scale() const { return 1 / std::sqrt(static_cast<Real>(width)); }

  /// How much query t of the head with these columns looks at each position.
  Vector<Real> probabilities(std::size_t column, std::size_t t) const {
    Vector<Real> p(positions);
    Real largest = 0, sum = 0;
    bool any = false;
    for (std::size_t s = 0; s < positions; ++s) {
      for (std::size_t i = column; i < column + width; ++i) p[s] += at(0, t, i) * at(1, s, i) * scale();
      if (!allowed(t, s)) continue;
      largest = any ? std::max(largest, p[s]) : p[s];
      any = true;
    }
    for (std::size_t s = 0; s < positions; ++s) sum += p[s] = allowed(t, s) ? std::exp(p[s] - largest) : 0;
    if (any)
      for (Real& value : p) value /= sum;
    return p;
  }
  bool allowed(std::size_t t, std::size_t s) const { return !padded[s] && (!causal || s <= t); }
};

struct AttentionLayer {
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    const Heads<Real> heads(call);
    Vector<Real> y(call.output.size());
    for (std::size_t column = 0; column < heads.features; column += heads.width)
      for (std::size_t t = 0; t < heads.positions; ++t) {
        const Vector<Real> p = heads.probabilities(column, t);
        for (std::size_t s = 0; s < heads.positions; ++s)
          for (std::size_t i = column; i < column + heads.width; ++i)
            y[t * heads.features + i] += p[s] * heads.at(2, s, i);
      }
    return y;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    const Heads<double> heads(call);
    LayerGradients g(call);
    const auto add = [&](std::size_t part, std::size_t t, std::size_t column, double value) {
      g.inputs[heads.input(part)][heads.place(part, t, column)] += value;
    };
    for (std::size_t column = 0; column < heads.features; column += heads.width)
      for (std::size_t t = 0; t < heads.positions; ++t) {
        const Vector<double> p = heads.probabilities(column, t);
        Vector<double> slopes(heads.positions);  // of the probabilities
        double mean = 0;
        for (std::size_t s = 0; s < heads.positions; ++s) {
          for (std::size_t i = column; i < column + heads.width; ++i) {
            const double d = delta[t * heads.features + i];
            add(2, s, i, p[s] * d);
            slopes[s] += d * heads.at(2, s, i);
          }
          mean += p[s] * slopes[s];
        }
        for (std::size_t s = 0; s < heads.positions; ++s)
          for (std::size_t i = column; i < column + heads.width; ++i) {
            const double score = p[s] * (slopes[s] - mean) * heads.scale();
            add(0, t, i, score * heads.at(1, s, i));
            add(1, s, i, score * heads.at(0, t, i));
          }
      }
    return g;
  }
};

struct SequenceMeanLayer {
  /// The part each position has of the mean.
  template <class Real>
  static Vector<Real> shares(const LayerCall<Real>& call) {
    const std::vector<bool> padded = padded_positions(call);
    const auto count = static_cast<Real>(std::count(padded.begin(), padded.end(), false));
    Vector<Real> result(padded.size());
    for (std::size_t t = 0; t < padded.size(); ++t) result[t] = padded[t] ? 0 : 1 / count;
    return result;
  }
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    const Vector<Real> share = shares(call);
    const std::size_t features = call.output.features;
    Vector<Real> y(features);
    for (std::size_t e = 0; e < call.inputs[0]->size(); ++e)
      y[e % features] += share[e / features] * (*call.inputs[0])[e];
    return y;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    const Vector<double> share = shares(call);
    LayerGradients g(call);
    for (std::size_t e = 0; e < g.inputs[0].size(); ++e)
      g.inputs[0][e] = share[e / delta.size()] * delta[e % delta.size()];
    return g;
  }
};

}  // namespace

LayerRule attention_rule() {
  return rule_of<AttentionLayer>();
}
LayerRule sequence_mean_rule() {
  return rule_of<SequenceMeanLayer>();
}

}  // namespace fisherdiag::scalar
