#include "fisherdiag/fisher/scalar_corners.hpp"

#include <cmath>
#include <string>

namespace fisherdiag::scalar {

namespace {

constexpr double kDeviations = 5;
/// Variance of one rounding of a number of size 1: uniform in +- 2^-24.
constexpr double kRounding = 0x1p-48 / 3;

double mean_square(const Vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return sum / static_cast<double>(values.size());
}

Vector<double> squares(std::span<const double> values) {
  Vector<double> result(values.begin(), values.end());
  for (double& v : result) v *= v;
  return result;
}

/// A sum of K products with root sum square s is a random walk: its partial sums' roundings add up to
/// K/2 s^2 times the variance of one.
double variance_of_sums(const LayerCall<double>& call, double below) {
  const Vector<double> weights = squares(call.tensors[0]), inputs = squares(*call.inputs[0]);
  double weight_sum = 0;
  for (const double w : weights) weight_sum += w;
  LayerCall<double> squared = call;
  squared.inputs = {&inputs};
  squared.tensors = {weights};
  Vector<double> bias;
  if (call.tensors.size() > 1) squared.tensors.push_back(bias = squares(call.tensors[1]));
  double sum = 0;
  const Vector<double> terms = layer_rule(call.layer).forward(squared);
  for (const double s : terms) sum += s;
  const double outputs = static_cast<double>(call.output.features);
  const double count = static_cast<double>(weights.size()) / outputs + 1;
  return kRounding * count / 2 * sum / static_cast<double>(terms.size()) + below * weight_sum / outputs;
}

/// The mean variance of the rounding errors of what a layer puts out. Layers that are no sums keep the
/// relative error of their inputs.
double variance_of(const LayerCall<double>& call, const Vector<double>& output,
                   const std::vector<double>& below) {
  const std::string& type = call.layer.type;
  if (type == "linear" || type.starts_with("conv")) return variance_of_sums(call, below[0]);
  double errors = 0, inputs = 0;
  for (std::size_t j = 0; j < below.size(); ++j) {
    errors += below[j];
    inputs += mean_square(*call.inputs[j]);
  }
  if (type == "add") return errors + kRounding * mean_square(output);
  return inputs > 0 ? (errors / inputs + kRounding) * mean_square(output) : 0;
}

}  // namespace

bool at_corner(const ScalarGraph<double>& scalar, const float* sample) {
  const auto values = scalar.forward(sample);
  const Graph& graph = scalar.graph();
  std::vector<double> variances(values.size());
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const LayerCall<double> call = scalar.call(i, values);
    std::vector<double> below;
    for (const std::size_t v : graph.nodes()[i].inputs) below.push_back(variances[v]);
    if (corner_distance(call) < kDeviations * std::sqrt(below[0])) return true;
    variances[i + 1] = variance_of(call, values[i + 1], below);
  }
  return false;
}

}  // namespace fisherdiag::scalar
