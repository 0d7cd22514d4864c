#include "reference/graph_layers.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <stdexcept>

#include "reference/sequence_layers.hpp"

namespace fisherdiag::reference {

namespace {

double phi(double x) {
  return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}
double cdf(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

double function(const std::string& type, double x) {
  if (type == "relu") return x > 0 ? x : 0;
  if (type == "relu6") return x > 0 ? (x < 6 ? x : 6) : 0;
  if (type == "tanh") return std::tanh(x);
  if (type == "sigmoid") return 1 / (1 + std::exp(-x));
  if (type == "gelu") return x * cdf(x);
  if (type == "silu") return x / (1 + std::exp(-x));
  return x;
}

double slope(const std::string& type, double x) {
  const double s = 1 / (1 + std::exp(-x));
  if (type == "relu") return x > 0 ? 1 : 0;
  if (type == "relu6") return x > 0 && x < 6 ? 1 : 0;
  if (type == "tanh") return 1 - std::tanh(x) * std::tanh(x);
  if (type == "sigmoid") return s * (1 - s);
  if (type == "gelu") return cdf(x) + x * phi(x);
  if (type == "silu") return s + x * s * (1 - s);
  return 1;
}

bool is_function(const std::string& type) {
  for (const char* known :
       {"relu", "relu6", "tanh", "sigmoid", "gelu", "silu", "identity", "dropout", "flatten"})
    if (type == known) return true;
  return false;
}

/// A product of two numbers that a layer adds to an output: which input, weight and output.
using Product = std::function<void(std::size_t input, std::size_t weight, std::size_t output)>;

std::size_t rows_of(const LayerCall& call) {
  return call.output.positions();
}

void linear_products(const LayerCall& call, const Product& product) {
  const std::size_t inputs = call.shapes[0].features, outputs = call.output.features;
  for (std::size_t t = 0; t < rows_of(call); ++t)
    for (std::size_t o = 0; o < outputs; ++o)
      for (std::size_t i = 0; i < inputs; ++i) product(t * inputs + i, o * inputs + i, t * outputs + o);
}

/// Two dimensions always; a signal is an image one row high.
struct Image {
  std::size_t height, width;
  explicit Image(const ValueShape& shape)
      : height(shape.grid.size() == 2 ? shape.grid[0] : 1), width(shape.grid.back()) {}
};

struct Window2 {
  std::size_t kernel[2], stride[2], padding[2], dilation[2];
  Window2(const LayerCall& call, const ValueShape& shape) {
    LayerFields fields(call.layer);
    const std::size_t rank = shape.grid.size();
    const auto fill = [&](std::size_t(&to)[2], const char* key, std::size_t otherwise, std::size_t single) {
      const std::vector<std::size_t> values = fields.sizes(key, rank, otherwise, 0);
      to[0] = rank == 2 ? values[0] : single;
      to[1] = values.back();
    };
    fill(kernel, "kernel", 1, 1);
    fill(stride, "stride", call.layer.type.find("pool") == std::string::npos ? 1 : kernel[1], 1);
    if (!fields.has("stride") && call.layer.type.find("pool") != std::string::npos)
      for (int d = 0; d < 2; ++d) stride[d] = kernel[d];
    fill(padding, "padding", 0, 0);
    fill(dilation, "dilation", 1, 1);
  }
};

/// Calls f(y, x of the image the window slides over, tap) for the place (py, px) where it is inside.
template <class F>
void for_window(const Window2& w, const Image& image, std::size_t py, std::size_t px, const F& f) {
  for (std::size_t ky = 0; ky < w.kernel[0]; ++ky)
    for (std::size_t kx = 0; kx < w.kernel[1]; ++kx) {
      const long y =
          static_cast<long>(py * w.stride[0] + ky * w.dilation[0]) - static_cast<long>(w.padding[0]);
      const long x =
          static_cast<long>(px * w.stride[1] + kx * w.dilation[1]) - static_cast<long>(w.padding[1]);
      if (y < 0 || x < 0 || y >= static_cast<long>(image.height) || x >= static_cast<long>(image.width))
        continue;
      f(static_cast<std::size_t>(y), static_cast<std::size_t>(x), ky * w.kernel[1] + kx);
    }
}

void conv_products(const LayerCall& call, const Product& product) {
  const Window2 w(call, call.shapes[0]);
  const Image in(call.shapes[0]), out(call.output);
  const std::size_t groups = LayerFields(call.layer).size("groups", 1), taps = w.kernel[0] * w.kernel[1];
  const std::size_t in_group = call.shapes[0].features / groups, out_group = call.output.features / groups;
  for (std::size_t o = 0; o < call.output.features; ++o)
    for (std::size_t c = 0; c < in_group; ++c)
      for (std::size_t py = 0; py < out.height; ++py)
        for (std::size_t px = 0; px < out.width; ++px)
          for_window(w, in, py, px, [&](std::size_t y, std::size_t x, std::size_t tap) {
            const std::size_t channel = o / out_group * in_group + c;
            product((channel * in.height + y) * in.width + x, (o * in_group + c) * taps + tap,
                    (o * out.height + py) * out.width + px);
          });
}

void conv_transpose_products(const LayerCall& call, const Product& product) {
  const Window2 w(call, call.shapes[0]);
  const Image in(call.shapes[0]), out(call.output);
  const std::size_t groups = LayerFields(call.layer).size("groups", 1), taps = w.kernel[0] * w.kernel[1];
  const std::size_t in_group = call.shapes[0].features / groups, out_group = call.output.features / groups;
  for (std::size_t i = 0; i < call.shapes[0].features; ++i)
    for (std::size_t c = 0; c < out_group; ++c)
      for (std::size_t py = 0; py < in.height; ++py)
        for (std::size_t px = 0; px < in.width; ++px)
          for_window(w, out, py, px, [&](std::size_t y, std::size_t x, std::size_t tap) {
            const std::size_t channel = i / in_group * out_group + c;
            product((i * in.height + py) * in.width + px, (i * out_group + c) * taps + tap,
                    (channel * out.height + y) * out.width + x);
          });
}

bool is_product(const std::string& type) {
  return type == "linear" || type == "conv1d" || type == "conv2d" || type == "conv_transpose2d";
}

void products(const LayerCall& call, const Product& product) {
  if (call.layer.type == "linear") return linear_products(call, product);
  if (call.layer.type == "conv_transpose2d") return conv_transpose_products(call, product);
  conv_products(call, product);
}

/// Each output of a pooling is the largest of some inputs or a sum of shares of them: f(output, inputs it
/// sees, share).
using Pool = std::function<void(std::size_t output, const std::vector<std::size_t>& inputs, double share)>;

/// Where window `place` of `places` over `size` begins and ends.
std::size_t adaptive_begin(std::size_t place, std::size_t size, std::size_t places) {
  return static_cast<std::size_t>(
      std::floor(static_cast<double>(place * size) / static_cast<double>(places)));
}
std::size_t adaptive_end(std::size_t place, std::size_t size, std::size_t places) {
  return static_cast<std::size_t>(
      std::ceil(static_cast<double>((place + 1) * size) / static_cast<double>(places)));
}

void pools(const LayerCall& call, const Pool& pool) {
  const Image in(call.shapes[0]), out(call.output);
  const bool adaptive = call.layer.type.starts_with("adaptive");
  for (std::size_t c = 0; c < call.output.features; ++c)
    for (std::size_t py = 0; py < out.height; ++py)
      for (std::size_t px = 0; px < out.width; ++px) {
        std::vector<std::size_t> seen;
        double share = 0;
        const auto see = [&](std::size_t y, std::size_t x) {
          seen.push_back((c * in.height + y) * in.width + x);
        };
        if (adaptive) {
          for (std::size_t y = adaptive_begin(py, in.height, out.height);
               y < adaptive_end(py, in.height, out.height); ++y)
            for (std::size_t x = adaptive_begin(px, in.width, out.width);
                 x < adaptive_end(px, in.width, out.width); ++x)
              see(y, x);
          share = 1 / static_cast<double>(seen.size());
        } else {
          const Window2 w(call, call.shapes[0]);
          for_window(w, in, py, px, [&](std::size_t y, std::size_t x, std::size_t) { see(y, x); });
          const bool padded = LayerFields(call.layer).flag("count_include_pad", true);
          share = 1 / static_cast<double>(padded ? w.kernel[0] * w.kernel[1] : seen.size());
        }
        pool((c * out.height + py) * out.width + px, seen, share);
      }
}

bool is_pool(const std::string& type) {
  return type.find("pool") != std::string::npos;
}

/// The first of the largest.
std::size_t largest(const Vector& x, const std::vector<std::size_t>& among) {
  std::size_t best = among.front();
  for (const std::size_t i : among)
    if (x[i] > x[best]) best = i;
  return best;
}

/// The feature of element `e` of a value.
std::size_t feature_of(const ValueShape& shape, std::size_t e) {
  return shape.channels_first ? e / shape.positions() : e % shape.features;
}

/// The statistics that normalise element e: of training, or of this sample's group of channels.
struct Norm {
  double mean, deviation;
  std::vector<std::size_t> group;  // elements the statistics are of; empty: constants
};

Norm norm_of(const LayerCall& call, std::size_t e) {
  const double eps = LayerFields(call.layer).number("eps", 1e-5);
  const std::size_t c = feature_of(call.output, e);
  if (call.layer.type == "batch_norm") return {call.buffers[0][c], std::sqrt(call.buffers[1][c] + eps), {}};
  const std::size_t channels = call.output.features / LayerFields(call.layer).size("groups");
  Norm norm{0, 0, {}};
  for (std::size_t i = 0; i < call.output.size(); ++i)
    if (feature_of(call.output, i) / channels == c / channels) norm.group.push_back(i);
  double squares = 0;
  for (const std::size_t i : norm.group) {
    norm.mean += call.inputs[0][i] / static_cast<double>(norm.group.size());
    squares += call.inputs[0][i] * call.inputs[0][i] / static_cast<double>(norm.group.size());
  }
  norm.deviation = std::sqrt(squares - norm.mean * norm.mean + eps);
  return norm;
}

bool is_norm(const std::string& type) {
  return type == "batch_norm" || type == "group_norm";
}

double weight_of(const LayerCall& call, std::size_t e) {
  return call.parameters.empty() ? 1 : call.parameters[0][feature_of(call.output, e)];
}

}  // namespace

Vector layer_forward(const LayerCall& call) {
  const std::string& type = call.layer.type;
  if (is_sequence_layer(type)) return sequence_forward(call);
  Vector output(call.output.size(), 0.0);
  if (is_function(type)) {
    for (std::size_t e = 0; e < output.size(); ++e) output[e] = function(type, call.inputs[0][e]);
    return output;
  }
  if (is_product(type)) {
    if (call.parameters.size() > 1)
      for (std::size_t e = 0; e < output.size(); ++e)
        output[e] = call.parameters[1][feature_of(call.output, e)];
    products(call, [&](std::size_t i, std::size_t w, std::size_t o) {
      output[o] += call.inputs[0][i] * call.parameters[0][w];
    });
    return output;
  }
  if (is_pool(type)) {
    pools(call, [&](std::size_t o, const std::vector<std::size_t>& seen, double share) {
      if (type.starts_with("max")) {
        output[o] = call.inputs[0][largest(call.inputs[0], seen)];
        return;
      }
      for (const std::size_t i : seen) output[o] += share * call.inputs[0][i];
    });
    return output;
  }
  if (is_norm(type)) {
    for (std::size_t e = 0; e < output.size(); ++e) {
      const Norm norm = norm_of(call, e);
      output[e] = weight_of(call, e) * (call.inputs[0][e] - norm.mean) / norm.deviation;
      if (!call.parameters.empty()) output[e] += call.parameters[1][feature_of(call.output, e)];
    }
    return output;
  }
  if (type == "add") {
    for (const Vector& input : call.inputs)
      for (std::size_t e = 0; e < output.size(); ++e) output[e] += input[e];
    return output;
  }
  throw std::logic_error("the reference has no layer '" + type + "'");
}

LayerGradients layer_backward(const LayerCall& call, const Vector& seed) {
  const std::string& type = call.layer.type;
  if (is_sequence_layer(type)) return sequence_backward(call, seed);
  LayerGradients g;
  for (const Vector& input : call.inputs) g.inputs.emplace_back(input.size(), 0.0);
  for (const Vector& parameter : call.parameters) g.parameters.emplace_back(parameter.size(), 0.0);
  if (is_function(type)) {
    for (std::size_t e = 0; e < seed.size(); ++e) g.inputs[0][e] = seed[e] * slope(type, call.inputs[0][e]);
    return g;
  }
  if (is_product(type)) {
    if (call.parameters.size() > 1)
      for (std::size_t e = 0; e < seed.size(); ++e) g.parameters[1][feature_of(call.output, e)] += seed[e];
    products(call, [&](std::size_t i, std::size_t w, std::size_t o) {
      g.inputs[0][i] += seed[o] * call.parameters[0][w];
      g.parameters[0][w] += seed[o] * call.inputs[0][i];
    });
    return g;
  }
  if (is_pool(type)) {
    pools(call, [&](std::size_t o, const std::vector<std::size_t>& seen, double share) {
      if (type.starts_with("max")) {
        g.inputs[0][largest(call.inputs[0], seen)] += seed[o];
        return;
      }
      for (const std::size_t i : seen) g.inputs[0][i] += share * seed[o];
    });
    return g;
  }
  if (is_norm(type)) {
    for (std::size_t e = 0; e < seed.size(); ++e) {
      const Norm norm = norm_of(call, e);
      const double x = (call.inputs[0][e] - norm.mean) / norm.deviation;
      if (!call.parameters.empty()) {
        g.parameters[0][feature_of(call.output, e)] += seed[e] * x;
        g.parameters[1][feature_of(call.output, e)] += seed[e];
      }
      const double d = seed[e] * weight_of(call, e) / norm.deviation;
      g.inputs[0][e] += d;
      // d output[e] / d input[i] = (1[i = e] - 1/m - x_e x_i / m) / deviation.
      for (const std::size_t i : norm.group)
        g.inputs[0][i] -= d * (1 + x * (call.inputs[0][i] - norm.mean) / norm.deviation) /
                          static_cast<double>(norm.group.size());
    }
    return g;
  }
  if (type == "add") {
    for (Vector& input : g.inputs) input = seed;
    return g;
  }
  throw std::logic_error("the reference has no layer '" + type + "'");
}

}  // namespace fisherdiag::reference
