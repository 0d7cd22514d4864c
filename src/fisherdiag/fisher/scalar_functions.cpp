// Functions of one number, sums of values, and layers without effect.
#include <cmath>
#include <numbers>
#include <string>

#include "fisherdiag/fisher/scalar_rules.hpp"

namespace fisherdiag::scalar {

namespace {

template <class Real>
Real value_of(const std::string& type, Real x) {
  if (type == "relu") return x > 0 ? x : Real(0);
  if (type == "relu6") return x > 0 ? (x < 6 ? x : Real(6)) : Real(0);
  if (type == "tanh") return std::tanh(x);
  if (type == "sigmoid") return 1 / (1 + std::exp(-x));
  if (type == "silu") return x / (1 + std::exp(-x));
  if (type == "gelu") return x * std::erfc(-x / std::numbers::sqrt2_v<Real>) / 2;
  return x;
}

double slope_of(const std::string& type, double x) {
  if (type == "relu") return x > 0 ? 1 : 0;
  if (type == "relu6") return x > 0 && x < 6 ? 1 : 0;
  if (type == "tanh") return 1 - std::pow(std::tanh(x), 2);
  const double sigmoid = 1 / (1 + std::exp(-x));
  if (type == "sigmoid") return sigmoid * (1 - sigmoid);
  if (type == "silu") return sigmoid * (1 + x * (1 - sigmoid));
  if (type == "gelu")
    return std::erfc(-x / std::numbers::sqrt2) / 2 +
           x * std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  return 1;
}

struct FunctionLayer {
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    Vector<Real> output = *call.inputs[0];
    for (Real& x : output) x = value_of(call.layer.type, x);
    return output;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerGradients g(call);
    for (std::size_t e = 0; e < delta.size(); ++e)
      g.inputs[0][e] = delta[e] * slope_of(call.layer.type, (*call.inputs[0])[e]);
    return g;
  }
};

struct AddLayer {
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    Vector<Real> output(call.output.size());
    for (const Vector<Real>* input : call.inputs)
      for (std::size_t e = 0; e < output.size(); ++e) output[e] += (*input)[e];
    return output;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerGradients g(call);
    for (Vector<double>& input : g.inputs) input = delta;
    return g;
  }
};

}  // namespace

LayerRule function_rule() {
  return rule_of<FunctionLayer>();
}
LayerRule add_rule() {
  return rule_of<AddLayer>();
}

}  // namespace fisherdiag::scalar
