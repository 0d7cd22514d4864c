// Linear layers and convolutions: sums of products of inputs and weights.
#include <algorithm>
#include <utility>

#include "fisherdiag/fisher/scalar_rules.hpp"

namespace fisherdiag::scalar {

namespace {

/// Rows of a weight matrix [outputs, inputs] at one position of a sequence after the other.
struct DenseLayer {
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    const std::size_t inputs = call.shapes[0].features, outputs = call.output.features;
    Vector<Real> y(call.output.size());
    for (std::size_t t = 0; t < call.output.positions(); ++t)
      for (std::size_t o = 0; o < outputs; ++o) {
        Real sum = call.tensors.size() > 1 ? call.tensors[1][o] : Real(0);
        for (std::size_t i = 0; i < inputs; ++i)
          sum += call.tensors[0][o * inputs + i] * (*call.inputs[0])[t * inputs + i];
        y[t * outputs + o] = sum;
      }
    return y;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    const std::size_t inputs = call.shapes[0].features, outputs = call.output.features;
    LayerGradients g(call);
    for (std::size_t t = 0; t < call.output.positions(); ++t)
      for (std::size_t o = 0; o < outputs; ++o) {
        const double d = delta[t * outputs + o];
        if (call.tensors.size() > 1) g.tensors[1][o] += d;
        for (std::size_t i = 0; i < inputs; ++i) {
          g.tensors[0][o * inputs + i] += d * (*call.inputs[0])[t * inputs + i];
          g.inputs[0][t * inputs + i] += d * call.tensors[0][o * inputs + i];
        }
      }
    return g;
  }
};

/// A convolution's sizes in two dimensions: a signal is an image one row high. `image` is what the window
/// slides over, `places` where it stops: input and output, or output and input of a transposed one.
struct Geometry {
  std::size_t kernel[2], stride[2], padding[2], dilation[2], image[2], places[2];
  std::size_t groups, image_channels, place_channels;  // channels of a group

  Geometry(const LayerDescription& layer, const ValueShape& over, const ValueShape& at) {
    LayerFields fields(layer);
    const std::size_t rank = over.grid.size();
    const auto two = [&](std::size_t(&to)[2], const std::vector<std::size_t>& from, std::size_t above) {
      to[0] = rank == 2 ? from[0] : above;
      to[1] = from.back();
    };
    two(kernel, fields.sizes("kernel", rank), 1);
    two(stride, fields.sizes("stride", rank, 1), 1);
    two(padding, fields.sizes("padding", rank, 0, 0), 0);
    two(dilation, fields.sizes("dilation", rank, 1), 1);
    two(image, over.grid, 1);
    two(places, at.grid, 1);
    groups = fields.size("groups", 1);
    image_channels = over.features / groups;
    place_channels = at.features / groups;
  }

  /// The range of places along d at which tap k of the window is inside the image.
  std::pair<std::size_t, std::size_t> inside(std::size_t d, std::size_t k) const {
    const std::size_t offset = k * dilation[d];
    const std::size_t before = padding[d] > offset ? padding[d] - offset : 0;
    const std::size_t begin = (before + stride[d] - 1) / stride[d];
    const std::size_t end =
        image[d] + padding[d] > offset ? (image[d] + padding[d] - offset - 1) / stride[d] + 1 : 0;
    return {std::min(begin, places[d]), std::min(end, places[d])};
  }

  /// Calls f(weight, image element, place element) for all products; weights are [place channels, image
  /// channels of a group, taps].
  template <class F>
  void for_products(const F& f) const {
    const std::size_t area = image[0] * image[1], count = places[0] * places[1];
    std::size_t weight = 0;
    for (std::size_t p = 0; p < groups * place_channels; ++p)
      for (std::size_t c = 0; c < image_channels; ++c) {
        const std::size_t plane = (p / place_channels * image_channels + c) * area;
        for (std::size_t ky = 0; ky < kernel[0]; ++ky)
          for (std::size_t kx = 0; kx < kernel[1]; ++kx, ++weight) {
            const auto [top, bottom] = inside(0, ky);
            const auto [left, right] = inside(1, kx);
            for (std::size_t py = top; py < bottom; ++py) {
              const std::size_t y = py * stride[0] + ky * dilation[0] - padding[0];
              for (std::size_t px = left; px < right; ++px)
                f(weight, plane + y * image[1] + px * stride[1] + kx * dilation[1] - padding[1],
                  p * count + py * places[1] + px);
            }
          }
      }
  }
};

template <bool kTransposed>
struct ConvLayer {
  template <class Real>
  static Geometry geometry(const LayerCall<Real>& call) {
    return kTransposed ? Geometry(call.layer, call.output, call.shapes[0])
                       : Geometry(call.layer, call.shapes[0], call.output);
  }
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    Vector<Real> y(call.output.size());
    const std::size_t positions = call.output.positions();
    if (call.tensors.size() > 1)
      for (std::size_t e = 0; e < y.size(); ++e) y[e] = call.tensors[1][e / positions];
    const Vector<Real>& x = *call.inputs[0];
    const std::span<const Real> w = call.tensors[0];
    geometry(call).for_products([&](std::size_t weight, std::size_t image, std::size_t place) {
      if constexpr (kTransposed)
        y[image] += w[weight] * x[place];
      else
        y[place] += w[weight] * x[image];
    });
    return y;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerGradients g(call);
    const std::size_t positions = call.output.positions();
    if (call.tensors.size() > 1)
      for (std::size_t e = 0; e < delta.size(); ++e) g.tensors[1][e / positions] += delta[e];
    const Vector<double>& x = *call.inputs[0];
    geometry(call).for_products([&](std::size_t weight, std::size_t image, std::size_t place) {
      const std::size_t in = kTransposed ? place : image, out = kTransposed ? image : place;
      g.tensors[0][weight] += delta[out] * x[in];
      g.inputs[0][in] += delta[out] * call.tensors[0][weight];
    });
    return g;
  }
};

}  // namespace

LayerRule linear_rule() {
  return rule_of<DenseLayer>();
}
LayerRule conv_rule() {
  return rule_of<ConvLayer<false>>();
}
LayerRule conv_transpose_rule() {
  return rule_of<ConvLayer<true>>();
}

}  // namespace fisherdiag::scalar
