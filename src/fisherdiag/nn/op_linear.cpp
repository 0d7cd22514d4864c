// y = W x + b at every position.
#include <algorithm>
#include <cmath>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/nn/ops.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

namespace {

class LinearOp final : public Op {
 public:
  LinearOp(LayerFields& fields, const ValueShape& input)
      : positions_(input.positions()), inputs_(input.features), outputs_(fields.size("out")) {
    if (input.channels_first && !input.grid.empty())
      fields.fail("takes flat inputs, not " + input.text() + "; put a flatten layer before it");
    if (const std::size_t in = fields.size("in", inputs_); in != inputs_)
      fields.fail("'in' is " + std::to_string(in) + " but its input has " + std::to_string(inputs_) +
                  " features");
    output_ = input;
    output_.features = outputs_;
    const double bound = 1 / std::sqrt(static_cast<double>(inputs_));  // as torch.nn.Linear
    parameters_ = {{"weight", {outputs_, inputs_}, true, 0, bound}};
    if (fields.has_bias()) parameters_.push_back({"bias", {outputs_}, false, 0, bound});
  }

  OpFlops flops() const override {
    const double weights = 2.0 * static_cast<double>(inputs_) * static_cast<double>(outputs_);
    const double all = weights * static_cast<double>(positions_);
    return {all, all, positions_ == 1 ? weights : all + weights, positions_ == 1};
  }

  void pack(std::span<const std::span<const float>> parameters) override {
    const std::size_t lanes = kernels().lanes;
    if (forward_.empty()) {
      forward_ = StripBuffer(inputs_, outputs_, lanes);
      backward_ = StripBuffer(outputs_, inputs_, lanes);
      bias_ = AlignedBuffer<float>((outputs_ + lanes - 1) / lanes * lanes);
    }
    kernels().transpose_to_strips(parameters[0].data(), inputs_, forward_.view());
    kernels().to_strips(parameters[0].data(), inputs_, backward_.view(), {});
    if (parameters.size() > 1) std::ranges::copy(parameters[1], bias_.begin());
  }

  std::size_t packed_bytes(std::size_t lanes) const override {
    return StripBuffer::bytes(inputs_, outputs_, lanes) + StripBuffer::bytes(outputs_, inputs_, lanes);
  }

  std::size_t scratch_floats(std::size_t lanes) const override {
    const std::size_t step = lanes * kStripsAtOnce;
    return ops::product_floats(std::max(inputs_, outputs_), lanes) +
           OpScratch::floats(kAddedRows, inputs_, lanes) +
           OpScratch::floats(accumulate_samples(), outputs_, lanes) +
           OpScratch::floats(accumulate_samples(), std::min(inputs_ + lanes, step), lanes);
  }

  void forward(const OpForward& f) const override {
    f.scratch->reset();
    ops::product(kernels(), f.inputs[0], forward_.view(), f.output, bias_.data(), *f.scratch);
  }

  void backward(const OpBackward& b) const override {
    if (parameters_.size() > 1) ops::add_position_sums(kernels(), b.delta, b.samples, b.gradients[1]);
    if (!b.below[0].data) return;
    const std::size_t lanes = kernels().lanes;
    if (!b.add[0]) {
      b.scratch->reset();
      return ops::product(kernels(), b.delta, backward_.view(), b.below[0], nullptr, *b.scratch);
    }
    for (std::size_t row = 0; row < b.delta.rows; row += kAddedRows) {
      const std::size_t count = std::min(kAddedRows, b.delta.rows - row);
      b.scratch->reset();
      const kernels::Strips part = b.scratch->strips(count, inputs_);
      ops::product(kernels(), ops::rows_of(b.delta, row, count, lanes), backward_.view(), part, nullptr,
                   *b.scratch);
      ops::copy(kernels(), part, true, ops::rows_of(b.below[0], row, count, lanes));
    }
  }

  GradientMatrix gradient_matrix() const override { return {outputs_, inputs_}; }
  std::size_t accumulate_samples() const override {
    return positions_ == 1 ? kernels::kChain : std::clamp<std::size_t>(kChainRows / positions_, 1, 64);
  }

  bool sums_squares() const override { return true; }
  bool sums_apart(std::size_t) const override { return positions_ > 1; }

  void accumulate(const OpAccumulate& a) const override {
    const kernels::OuterRange range{0, outputs_, a.strip_begin, a.strip_end};
    if (positions_ > 1) {
      for (const kernels::ConstStrips& delta : a.sums ? a.deltas : a.deltas.first(0))
        kernels().gram_squared({delta, a.input, positions_, nullptr, range, a.sums, inputs_, a.traces});
      if (!a.squares) return;
      const std::vector<kernels::ConstStrips> inputs(a.deltas.size(), a.input);
      kernels().gram_squares(
          {a.deltas.data(), inputs.data(), inputs.size(), positions_, range, a.squares, inputs_});
      return;
    }
    // One position: the square of the gradient is the product of the squares.
    const std::size_t lanes = kernels().lanes;
    for (std::size_t strip = a.strip_begin; strip < a.strip_end; strip += kStripsAtOnce) {
      const std::size_t end = std::min(strip + kStripsAtOnce, a.strip_end);
      const std::size_t columns = std::min(end * lanes, inputs_) - strip * lanes;
      a.scratch->reset();
      const kernels::Strips left = a.scratch->strips(a.samples, outputs_);
      const kernels::Strips right = a.scratch->strips(a.samples, columns);
      for (const kernels::ConstStrips& delta : a.deltas)
        ops::square(delta, &delta != a.deltas.data(), left, lanes);
      ops::square(ops::columns_of(a.input, strip, columns), false, right, lanes);
      kernels().squared_outer(left, right, {0, outputs_, 0, end - strip}, a.sums + strip * lanes, inputs_);
      for (std::size_t n = 0; a.traces && n < a.samples; ++n)
        a.traces[n] += row_sum(left, n, lanes) * row_sum(right, n, lanes);
      if (!a.squares) continue;
      ops::square_again(left, true, lanes);
      ops::square_again(right, false, lanes);
      kernels().squared_outer(left, right, {0, outputs_, 0, end - strip}, a.squares + strip * lanes, inputs_);
    }
  }

  void add_gradient(const OpAccumulate& a, float* target, std::size_t stride) const override {
    const std::size_t lanes = kernels().lanes;
    const std::size_t columns = std::min(a.strip_end * lanes, inputs_) - a.strip_begin * lanes;
    kernels().add_outer(a.deltas[0], ops::columns_of(a.input, a.strip_begin, columns), false, target, stride);
  }

 private:
  static constexpr std::size_t kAddedRows = 64, kStripsAtOnce = 8, kChainRows = 2048;

  std::size_t positions_, inputs_, outputs_;
  StripBuffer forward_, backward_;  // [inputs, outputs] and [outputs, inputs]
  AlignedBuffer<float> bias_;
};

}  // namespace

std::unique_ptr<Op> make_linear(LayerFields& fields, std::span<const ValueShape> inputs) {
  return std::make_unique<LinearOp>(fields, ops::only_input(fields, inputs));
}

}  // namespace fisherdiag
