#include "fisherdiag/fisher/accumulator.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

namespace {

/// Rows of F one task owns.
constexpr std::size_t kTileRows = 64;
/// Elements of a parameter one task owns.
constexpr std::size_t kTileElements = 4096;

/// A layer (outputs x inputs and a bias) or a parameter on its own (1 x elements).
struct Part {
  std::string name;
  std::size_t inputs = 0, outputs = 0;
  bool linear = false, bias = false;
  std::size_t offset = 0;  ///< of its first element in the sum
  std::size_t samples = 0;

  std::size_t size() const { return outputs * inputs + (bias ? outputs : 0); }
};

void require_finite(const std::string& part, const char* what, MatrixView<const float> values,
                    std::size_t positions, std::size_t samples_before) {
  for (std::size_t r = 0; r < values.rows; ++r)
    for (std::size_t c = 0; c < values.cols; ++c)
      if (!std::isfinite(values(r, c)))
        throw DataError("layer '" + part + "': " + what + " " + std::to_string(c) + " of sample " +
                        std::to_string(samples_before + r / positions) + " is not finite");
}

}  // namespace

struct Accumulator::State {
  explicit State(const Context& context_)
      : context(context_), kernels(kernels::kernel_table(context_.isa())) {}

  Part& declare(Part part, std::vector<ParameterTensor> own) {
    if (samples() > 0)
      throw ArgumentError("[Accumulator] '" + part.name + "' is declared after samples came");
    for (const ParameterTensor& tensor : own)
      if (!names.insert(tensor.name).second)
        throw ArgumentError("[Accumulator] two parameters are called '" + tensor.name + "'");
    part.offset = sum.size();
    for (ParameterTensor& tensor : own) tensors.push_back(std::move(tensor));
    sum.resize(sum.size() + part.size());
    return parts.emplace_back(std::move(part));
  }

  std::size_t samples() const {
    std::size_t most = 0;
    for (const Part& part : parts) most = std::max(most, part.samples);
    return most;
  }

  Part& part(std::size_t number, bool linear) {
    if (number >= parts.size() || parts[number].linear != linear)
      throw ArgumentError("[Accumulator] there is no " + std::string(linear ? "layer" : "parameter") +
                          " of number " + std::to_string(number));
    return parts[number];
  }

  void check(const Part& part, MatrixView<const float> inputs, MatrixView<const float> sensitivities,
             std::size_t positions) const;
  void add_squared(const Part& part, MatrixView<const float> inputs, MatrixView<const float> sensitivities);
  void add_gram(const Part& part, MatrixView<const float> inputs, MatrixView<const float> sensitivities,
                std::size_t positions);
  template <class Body>
  void for_each_tile(const Part& part, const Body& body) const;

  const Context& context;
  const kernels::KernelTable& kernels;
  std::vector<Part> parts;
  std::vector<ParameterTensor> tensors;
  std::set<std::string> names;
  std::vector<double> sum;
};

Accumulator::Accumulator(const Context& context) : state_(std::make_unique<State>(context)) {}
Accumulator::~Accumulator() = default;

std::size_t Accumulator::add_linear_layer(const std::string& name, std::size_t inputs, std::size_t outputs,
                                          bool bias) {
  constexpr std::size_t kMost = std::size_t{1} << 40;
  if (inputs == 0 || outputs == 0 || inputs > kMost / outputs)
    throw ArgumentError("[Accumulator] layer '" + name + "' has a size of 0 or is too large");
  const std::size_t begin = state_->sum.size(), weights = inputs * outputs;
  std::vector<ParameterTensor> own = {{name + ".weight", {outputs, inputs}, begin, weights}};
  if (bias) own.push_back({name + ".bias", {outputs}, begin + weights, outputs});
  state_->declare({name, inputs, outputs, true, bias, 0, 0}, std::move(own));
  return state_->parts.size() - 1;
}

std::size_t Accumulator::add_parameter(const std::string& name, const std::vector<std::size_t>& shape) {
  constexpr std::size_t kMost = std::size_t{1} << 40;
  std::size_t elements = 1;
  for (const std::size_t dimension : shape) {
    if (dimension == 0 || dimension > kMost / elements)
      throw ArgumentError("[Accumulator] parameter '" + name + "' has a size of 0 or is too large");
    elements *= dimension;
  }
  state_->declare({name, elements, 1, false, false, 0, 0}, {{name, shape, state_->sum.size(), elements}});
  return state_->parts.size() - 1;
}

void Accumulator::State::check(const Part& part, MatrixView<const float> inputs,
                               MatrixView<const float> sensitivities, std::size_t positions) const {
  const std::string where = "[Accumulator] layer '" + part.name + "': ";
  if (inputs.cols != part.inputs || sensitivities.cols != part.outputs)
    throw ArgumentError(where + "got " + std::to_string(inputs.cols) + " inputs and " +
                        std::to_string(sensitivities.cols) + " sensitivities, it has " +
                        std::to_string(part.inputs) + " and " + std::to_string(part.outputs));
  if (inputs.rows != sensitivities.rows || positions == 0 || inputs.rows % positions != 0)
    throw ArgumentError(where + std::to_string(inputs.rows) + " rows of inputs and " +
                        std::to_string(sensitivities.rows) + " of sensitivities are no samples of " +
                        std::to_string(positions) + " positions");
  require_finite(part.name, "input", inputs, positions, part.samples);
  require_finite(part.name, "sensitivity", sensitivities, positions, part.samples);
}

/// body(range, worker) for tiles of the layer's F: each element belongs to one.
template <class Body>
void Accumulator::State::for_each_tile(const Part& part, const Body& body) const {
  const std::size_t strips = (part.inputs + kernels.lanes - 1) / kernels.lanes;
  const std::size_t tiles = (part.outputs + kTileRows - 1) / kTileRows;
  context.parallel_for(tiles, [&](std::size_t tile, std::size_t) {
    const FlushDenormals flush;
    const std::size_t begin = tile * kTileRows;
    body(kernels::OuterRange{begin, std::min(begin + kTileRows, part.outputs), 0, strips});
  });
}

void Accumulator::State::add_squared(const Part& part, MatrixView<const float> inputs,
                                     MatrixView<const float> sensitivities) {
  const std::size_t chain = std::min(kernels::kChain, inputs.rows);
  StripBuffer plain(chain, std::max(part.inputs, part.outputs), kernels.lanes);
  StripBuffer a2(chain, part.inputs, kernels.lanes), q(chain, part.outputs, kernels.lanes);
  for (std::size_t first = 0; first < inputs.rows; first += chain) {
    const std::size_t count = std::min(chain, inputs.rows - first);
    const kernels::Strips left = q.rows(0, count), right = a2.rows(0, count);
    kernels.to_strips(inputs.row(first), inputs.stride, plain.shaped(count, part.inputs), right);
    kernels.to_strips(sensitivities.row(first), sensitivities.stride, plain.shaped(count, part.outputs),
                      left);
    for_each_tile(part, [&](const kernels::OuterRange& range) {
      kernels.squared_outer(left, right, range, sum.data() + part.offset, part.inputs);
    });
    if (part.bias) kernels.column_sums(left, false, sum.data() + part.offset + part.inputs * part.outputs);
  }
}

void Accumulator::State::add_gram(const Part& part, MatrixView<const float> inputs,
                                  MatrixView<const float> sensitivities, std::size_t positions) {
  StripBuffer a(positions, part.inputs, kernels.lanes), d(positions, part.outputs, kernels.lanes);
  std::vector<double> bias(part.bias ? part.outputs : 0);
  for (std::size_t first = 0; first < inputs.rows; first += positions) {
    const kernels::Strips left = d.rows(0, positions), right = a.rows(0, positions);
    kernels.to_strips(inputs.row(first), inputs.stride, right, {});
    kernels.to_strips(sensitivities.row(first), sensitivities.stride, left, {});
    for_each_tile(part, [&](const kernels::OuterRange& range) {
      kernels.gram_squared({left, right, positions, nullptr, range, sum.data() + part.offset, part.inputs});
    });
    if (!part.bias) continue;
    std::ranges::fill(bias, 0.0);
    kernels.column_sums(left, false, bias.data());
    double* target = sum.data() + part.offset + part.inputs * part.outputs;
    for (std::size_t o = 0; o < part.outputs; ++o) target[o] += bias[o] * bias[o];
  }
}

void Accumulator::add_linear(std::size_t layer, MatrixView<const float> inputs,
                             MatrixView<const float> sensitivities, std::size_t positions) {
  add_linear_seed(layer, inputs, sensitivities, positions);
  state_->parts[layer].samples += inputs.rows / positions;
}

void Accumulator::add_linear_seed(std::size_t layer, MatrixView<const float> inputs,
                                  MatrixView<const float> sensitivities, std::size_t positions) {
  Part& part = state_->part(layer, true);
  state_->check(part, inputs, sensitivities, positions);
  if (positions == 1)
    state_->add_squared(part, inputs, sensitivities);
  else
    state_->add_gram(part, inputs, sensitivities, positions);
}

void Accumulator::add_gradients(std::size_t parameter, MatrixView<const float> gradients) {
  Part& part = state_->part(parameter, false);
  if (gradients.cols != part.inputs)
    throw ArgumentError("[Accumulator] parameter '" + part.name + "' has " + std::to_string(part.inputs) +
                        " elements, its gradients " + std::to_string(gradients.cols));
  require_finite(part.name, "gradient", gradients, 1, part.samples);
  const std::size_t tiles = (part.inputs + kTileElements - 1) / kTileElements;
  state_->context.parallel_for(tiles, [&](std::size_t tile, std::size_t) {
    const std::size_t begin = tile * kTileElements, end = std::min(begin + kTileElements, part.inputs);
    double* target = state_->sum.data() + part.offset;
    for (std::size_t n = 0; n < gradients.rows; ++n)
      for (std::size_t i = begin; i < end; ++i) {
        const double value = gradients(n, i);
        target[i] += value * value;
      }
  });
  part.samples += gradients.rows;
}

std::size_t Accumulator::samples() const {
  return state_->samples();
}

FisherDiagonal Accumulator::finish(FisherMetadata metadata) const {
  const std::size_t samples = state_->samples();
  if (samples == 0) throw DataError("the accumulator got no samples");
  for (const Part& part : state_->parts)
    if (part.samples != samples)
      throw DataError("'" + part.name + "' got " + std::to_string(part.samples) + " samples, others got " +
                      std::to_string(samples));
  const double scale =
      metadata.normalization == Normalization::Mean ? 1.0 / static_cast<double>(samples) : 1.0;
  AlignedBuffer<float> values(state_->sum.size());
  for (const ParameterTensor& tensor : state_->tensors)
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      const double value = state_->sum[i] * scale;
      if (!(value <= std::numeric_limits<float>::max()))
        throw DataError("element " + std::to_string(i - tensor.offset) + " of '" + tensor.name +
                        "' is beyond float");
      values[i] = static_cast<float>(value);
    }
  metadata.samples = samples;
  metadata.isa = isa_name(state_->context.isa());
  metadata.version = version();
  return FisherDiagonal(state_->tensors, std::move(values), std::move(metadata));
}

}  // namespace fisherdiag
