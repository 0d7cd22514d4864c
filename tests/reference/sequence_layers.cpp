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

bool masks(const LayerCall& call, std::size_t t) {
  return LayerFields(call.layer).has("padding_idx") &&
         is_padding(call, static_cast<std::size_t>(call.inputs.back()[t]));
}

/// Attention: where the numbers of its queries (0), keys (1) and values (2) are.
struct AttentionPlaces {
  std::size_t positions, features, heads, width;
  bool packed;

  explicit AttentionPlaces(const LayerCall& call)
      : positions(call.output.positions()),
        features(call.output.features),
        heads(LayerFields(call.layer).size("heads", 1)),
        width(features / heads),
        packed(call.shapes[0].features != features) {}
  std::size_t input(std::size_t part) const { return packed ? 0 : part; }
  std::size_t element(std::size_t part, std::size_t t, std::size_t h, std::size_t i) const {
    return packed ? t * 3 * features + part * features + h * width + i : t * features + h * width + i;
  }
};

/// The probabilities with which position t of head h looks at each position.
Vector probabilities(const LayerCall& call, const AttentionPlaces& at, std::size_t h, std::size_t t) {
  const bool causal = LayerFields(call.layer).flag("causal", false);
  Vector p(at.positions, 0.0);
  double sum = 0;
  for (std::size_t s = 0; s < at.positions; ++s) {
    if ((causal && s > t) || masks(call, s)) continue;
    double product = 0;
    for (std::size_t i = 0; i < at.width; ++i)
      product +=
          call.inputs[at.input(0)][at.element(0, t, h, i)] * call.inputs[at.input(1)][at.element(1, s, h, i)];
    p[s] = std::exp(product / std::sqrt(static_cast<double>(at.width)));
    sum += p[s];
  }
  for (double& value : p) value = sum > 0 ? value / sum : 0;
  return p;
}

void attention_forward(const LayerCall& call, Vector& output) {
  const AttentionPlaces at(call);
  for (std::size_t h = 0; h < at.heads; ++h)
    for (std::size_t t = 0; t < at.positions; ++t) {
      const Vector p = probabilities(call, at, h, t);
      for (std::size_t s = 0; s < at.positions; ++s)
        for (std::size_t i = 0; i < at.width; ++i)
          output[t * at.features + h * at.width + i] +=
              p[s] * call.inputs[at.input(2)][at.element(2, s, h, i)];
    }
}

void attention_backward(const LayerCall& call, const Vector& seed, LayerGradients& g) {
  const AttentionPlaces at(call);
  const double scale = 1 / std::sqrt(static_cast<double>(at.width));
  const auto value = [&](std::size_t part, std::size_t t, std::size_t h, std::size_t i) {
    return call.inputs[at.input(part)][at.element(part, t, h, i)];
  };
  for (std::size_t h = 0; h < at.heads; ++h)
    for (std::size_t t = 0; t < at.positions; ++t) {
      const Vector p = probabilities(call, at, h, t);
      for (std::size_t s = 0; s < at.positions; ++s)
        for (std::size_t i = 0; i < at.width; ++i) {
          const double d = seed[t * at.features + h * at.width + i];
          g.inputs[at.input(2)][at.element(2, s, h, i)] += p[s] * d;
          // d p_s / d score_r = p_s ((r == s) - p_r)
          for (std::size_t r = 0; r < at.positions; ++r) {
            const double score = d * value(2, s, h, i) * p[s] * ((r == s ? 1 : 0) - p[r]) * scale;
            for (std::size_t j = 0; j < at.width; ++j) {
              g.inputs[at.input(0)][at.element(0, t, h, j)] += score * value(1, r, h, j);
              g.inputs[at.input(1)][at.element(1, r, h, j)] += score * value(0, t, h, j);
            }
          }
        }
    }
}

/// Calls f(position, its weight) for the mean over positions.
template <class F>
void for_mean(const LayerCall& call, const F& f) {
  const std::size_t positions = call.shapes[0].positions();
  double count = 0;
  for (std::size_t t = 0; t < positions; ++t) count += masks(call, t) ? 0 : 1;
  for (std::size_t t = 0; t < positions; ++t)
    if (!masks(call, t)) f(t, 1 / count);
}

}  // namespace

bool is_sequence_layer(const std::string& type) {
  for (const char* known :
       {"layer_norm", "rms_norm", "embedding", "positional_embedding", "attention", "sequence_mean"})
    if (type == known) return true;
  return false;
}

Vector sequence_forward(const LayerCall& call) {
  Vector output(call.output.size(), 0.0);
  if (call.layer.type == "embedding")
    for_embedded(call, [&](std::size_t w, std::size_t o) { output[o] = call.parameters[0][w]; });
  else if (call.layer.type == "positional_embedding")
    for (std::size_t e = 0; e < output.size(); ++e) output[e] = call.inputs[0][e] + call.parameters[0][e];
  else if (call.layer.type == "attention")
    attention_forward(call, output);
  else if (call.layer.type == "sequence_mean")
    for_mean(call, [&](std::size_t t, double weight) {
      for (std::size_t i = 0; i < output.size(); ++i)
        output[i] += weight * call.inputs[0][t * output.size() + i];
    });
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
  } else if (call.layer.type == "attention") {
    attention_backward(call, seed, g);
  } else if (call.layer.type == "sequence_mean") {
    for_mean(call, [&](std::size_t t, double weight) {
      for (std::size_t i = 0; i < seed.size(); ++i) g.inputs[0][t * seed.size() + i] = weight * seed[i];
    });
  } else {
    norm_backward(call, seed, g);
  }
  return g;
}

}  // namespace fisherdiag::reference
