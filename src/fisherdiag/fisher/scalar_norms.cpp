// Batch norm with the statistics of training; group, layer and RMS norm with those of the sample.
#include <cmath>

#include "fisherdiag/fisher/scalar_rules.hpp"

namespace fisherdiag::scalar {

namespace {

/// The feature of element e of a value.
std::size_t feature_of(const ValueShape& shape, std::size_t e) {
  return shape.channels_first ? e / shape.positions() : e % shape.features;
}

template <class Real>
Real epsilon(const LayerCall<Real>& call) {
  const double otherwise = call.layer.type == "rms_norm" ? 0x1p-23 : 1e-5;
  return static_cast<Real>(LayerFields(call.layer).number("eps", otherwise));
}

/// Sets y to weight times normalised plus bias; the layer has the first `affine` of these.
template <class Real>
void apply_affine(const LayerCall<Real>& call, std::size_t affine, Vector<Real>& y) {
  for (std::size_t e = 0; e < y.size(); ++e) {
    const std::size_t c = feature_of(call.output, e);
    if (affine > 0) y[e] *= call.tensors[0][c];
    if (affine > 1) y[e] += call.tensors[1][c];
  }
}

/// The gradients of weight and bias; returns delta taken through the weight.
Vector<double> through_affine(const LayerCall<double>& call, std::size_t affine,
                              const Vector<double>& normalized, const Vector<double>& delta,
                              LayerGradients& g) {
  Vector<double> below = delta;
  for (std::size_t e = 0; e < delta.size(); ++e) {
    const std::size_t c = feature_of(call.output, e);
    if (affine > 0) g.tensors[0][c] += delta[e] * normalized[e];
    if (affine > 1) g.tensors[1][c] += delta[e];
    if (affine > 0) below[e] *= call.tensors[0][c];
  }
  return below;
}

struct BatchNormLayer {
  template <class Real>
  static Vector<Real> normalized(const LayerCall<Real>& call) {
    const std::size_t first = call.tensors.size() - 2;
    Vector<Real> x = *call.inputs[0];
    for (std::size_t e = 0; e < x.size(); ++e) {
      const std::size_t c = feature_of(call.output, e);
      x[e] = (x[e] - call.tensors[first][c]) / std::sqrt(call.tensors[first + 1][c] + epsilon(call));
    }
    return x;
  }
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    Vector<Real> y = normalized(call);
    apply_affine(call, call.tensors.size() - 2, y);
    return y;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerGradients g(call);
    g.inputs[0] = through_affine(call, call.tensors.size() - 2, normalized(call), delta, g);
    for (std::size_t e = 0; e < delta.size(); ++e)
      g.inputs[0][e] /= std::sqrt(call.tensors.back()[feature_of(call.output, e)] + epsilon(call));
    return g;
  }
};

/// Statistics of the sample itself: over groups of channels at all positions, or over the features of one
/// position.
struct SampleNormLayer {
  template <class Real>
  struct Group {
    std::vector<std::size_t> elements;
    Real mean = 0, deviation = 0;
  };
  template <class Real>
  static bool is_centered(const LayerCall<Real>& call) {
    return call.layer.type != "rms_norm";
  }
  template <class Real>
  static std::vector<Group<Real>> groups(const LayerCall<Real>& call) {
    const bool by_channel = call.layer.type == "group_norm";
    const ValueShape& shape = call.output;
    const std::size_t count = by_channel ? LayerFields(call.layer).size("groups") : shape.positions();
    std::vector<Group<Real>> result(count);
    const Vector<Real>& x = *call.inputs[0];
    for (std::size_t e = 0; e < x.size(); ++e) {
      const std::size_t c = feature_of(shape, e);
      const std::size_t position = shape.channels_first ? e % shape.positions() : e / shape.features;
      result[by_channel ? c / (shape.features / count) : position].elements.push_back(e);
    }
    for (Group<Real>& group : result) {
      const auto size = static_cast<Real>(group.elements.size());
      Real squares = 0;
      if (is_centered(call))
        for (const std::size_t e : group.elements) group.mean += x[e] / size;
      for (const std::size_t e : group.elements) squares += (x[e] - group.mean) * (x[e] - group.mean);
      group.deviation = std::sqrt(squares / size + epsilon(call));
    }
    return result;
  }
  template <class Real>
  static Vector<Real> normalized(const LayerCall<Real>& call) {
    Vector<Real> y = *call.inputs[0];
    for (const Group<Real>& group : groups(call))
      for (const std::size_t e : group.elements) y[e] = (y[e] - group.mean) / group.deviation;
    return y;
  }
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    Vector<Real> y = normalized(call);
    apply_affine(call, call.tensors.size(), y);
    return y;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerGradients g(call);
    const Vector<double> x = normalized(call);
    const Vector<double> d = through_affine(call, call.tensors.size(), x, delta, g);
    for (const Group<double>& group : groups(call)) {
      double mean = 0, along = 0;
      for (const std::size_t e : group.elements) {
        if (is_centered(call)) mean += d[e] / static_cast<double>(group.elements.size());
        along += d[e] * x[e] / static_cast<double>(group.elements.size());
      }
      for (const std::size_t e : group.elements)
        g.inputs[0][e] = (d[e] - mean - x[e] * along) / group.deviation;
    }
    return g;
  }
};

}  // namespace

LayerRule batch_norm_rule() {
  return rule_of<BatchNormLayer>();
}
LayerRule sample_norm_rule() {
  return rule_of<SampleNormLayer>();
}

}  // namespace fisherdiag::scalar
