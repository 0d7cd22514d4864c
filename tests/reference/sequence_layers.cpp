#include "reference/sequence_layers.hpp"

#include <cmath>
#include <limits>

namespace fisherdiag::reference {

namespace {

LayerGradients zero_gradients(const LayerCall& call) {
  LayerGradients g;
  for (const Vector& input : call.inputs) g.inputs.emplace_back(input.size(), 0.0);
  for (const Vector& parameter : call.parameters) g.parameters.emplace_back(parameter.size(), 0.0);
  return g;
}

/// One position of a layer norm or RMS norm: u = (x - mean) / size.
struct NormRow {
  Vector u;
  double size = 0;
  bool centred = true;

  NormRow(const LayerCall& call, std::size_t t) : centred(call.layer.type == "layer_norm") {
    const std::size_t n = call.output.features;
    const double otherwise = centred ? 1e-5 : std::numeric_limits<float>::epsilon();
    const double eps = LayerFields(call.layer).number("eps", otherwise);
    u.assign(call.inputs[0].begin() + t * n, call.inputs[0].begin() + (t + 1) * n);
    double mean = 0, squares = 0;
    for (const double x : u) mean += centred ? x / static_cast<double>(n) : 0;
    for (double& x : u) x -= mean;
    for (const double x : u) squares += x * x / static_cast<double>(n);
    size = std::sqrt(squares + eps);
    for (double& x : u) x /= size;
  }
  /// d u_i / d x_j.
  double slope(std::size_t i, std::size_t j) const {
    const auto n = static_cast<double>(u.size());
    return ((i == j ? 1 : 0) - (centred ? 1 / n : 0) - u[i] * u[j] / n) / size;
  }
};

double weight_of(const LayerCall& call, std::size_t i) {
  return call.parameters.empty() ? 1 : call.parameters[0][i];
}

void norm_forward(const LayerCall& call, Vector& output) {
  const std::size_t n = call.output.features;
  for (std::size_t t = 0; t < call.output.positions(); ++t) {
    const NormRow row(call, t);
    for (std::size_t i = 0; i < n; ++i)
      output[t * n + i] =
          row.u[i] * weight_of(call, i) + (call.parameters.size() > 1 ? call.parameters[1][i] : 0);
  }
}

void norm_backward(const LayerCall& call, const Vector& seed, LayerGradients& g) {
  const std::size_t n = call.output.features;
  for (std::size_t t = 0; t < call.output.positions(); ++t) {
    const NormRow row(call, t);
    for (std::size_t i = 0; i < n; ++i) {
      const double s = seed[t * n + i];
      if (!g.parameters.empty()) g.parameters[0][i] += s * row.u[i];
      if (g.parameters.size() > 1) g.parameters[1][i] += s;
      for (std::size_t j = 0; j < n; ++j) g.inputs[0][t * n + j] += s * weight_of(call, i) * row.slope(i, j);
    }
  }
}

/// Calls f(element of the table, element of the output).
template <class F>
void for_embedded(const LayerCall& call, const F& f) {
  const std::size_t n = call.output.features;
  for (std::size_t t = 0; t < call.output.positions(); ++t)
    for (std::size_t i = 0; i < n; ++i) f(static_cast<std::size_t>(call.inputs[0][t]) * n + i, t * n + i);
}

/// The token whose row has no gradient, or none.
bool is_padding(const LayerCall& call, std::size_t token) {
  LayerFields fields(call.layer);
  return fields.has("padding_idx") && fields.sizes("padding_idx", 1, 0, 0)[0] == token;
}

}  // namespace

bool is_sequence_layer(const std::string& type) {
  return type == "layer_norm" || type == "rms_norm" || type == "embedding" || type == "positional_embedding";
}

Vector sequence_forward(const LayerCall& call) {
  Vector output(call.output.size(), 0.0);
  if (call.layer.type == "embedding")
    for_embedded(call, [&](std::size_t w, std::size_t o) { output[o] = call.parameters[0][w]; });
  else if (call.layer.type == "positional_embedding")
    for (std::size_t e = 0; e < output.size(); ++e) output[e] = call.inputs[0][e] + call.parameters[0][e];
  else
    norm_forward(call, output);
  return output;
}

LayerGradients sequence_backward(const LayerCall& call, const Vector& seed) {
  LayerGradients g = zero_gradients(call);
  if (call.layer.type == "embedding") {
    for_embedded(call, [&](std::size_t w, std::size_t o) {
      if (!is_padding(call, w / call.output.features)) g.parameters[0][w] += seed[o];
    });
  } else if (call.layer.type == "positional_embedding") {
    for (std::size_t e = 0; e < seed.size(); ++e) g.inputs[0][e] = g.parameters[0][e] = seed[e];
  } else {
    norm_backward(call, seed, g);
  }
  return g;
}

}  // namespace fisherdiag::reference
