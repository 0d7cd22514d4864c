// Batch norm in evaluation mode: y = weight (x - mean) / sqrt(var + eps) + bias with the statistics of
// training, which are buffers of the network and not parameters.
#include <cmath>

#include "fisherdiag/nn/norm_tail.hpp"
#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

class BatchNormOp final : public Op {
 public:
  BatchNormOp(const ValueShape& input, double eps, bool affine) : eps_(eps) {
    output_ = input;
    const std::vector<std::size_t> shape{input.features};
    if (affine) parameters_ = {{"weight", shape, false, 1, 0}, {"bias", shape, false, 0, 0}};
    buffers_ = {{"running_mean", shape, 0}, {"running_var", shape, 1}};
  }

  OpFlops flops() const override {
    const double all = 2.0 * static_cast<double>(output_.size());
    return {all, all, parameters_.empty() ? 0 : 2 * all};
  }

  void prepare(const kernels::KernelTable& kernels) override {
    Op::prepare(kernels);
    for (AlignedBuffer<float>* buffer : {&scale_, &shift_, &mean_, &inverse_})
      *buffer = AlignedBuffer<float>(padded(kernels.lanes));
  }

  void pack(std::span<const std::span<const float>> tensors) override {
    const std::span<const float> mean = tensors[parameters_.size()], var = tensors[parameters_.size() + 1];
    for (std::size_t c = 0; c < output_.features; ++c) {
      const double inverse = 1 / std::sqrt(static_cast<double>(var[c]) + eps_);
      const double weight = parameters_.empty() ? 1 : static_cast<double>(tensors[0][c]);
      const double bias = parameters_.empty() ? 0 : static_cast<double>(tensors[1][c]);
      mean_[c] = mean[c];
      inverse_[c] = static_cast<float>(inverse);
      scale_[c] = static_cast<float>(weight * inverse);
      shift_[c] = static_cast<float>(bias - weight * inverse * static_cast<double>(mean[c]));
    }
  }

  std::size_t packed_bytes(std::size_t lanes) const override { return 4 * padded(lanes) * sizeof(float); }

  void forward(const OpForward& f) const override {
    kernels().scale_columns(f.inputs[0], scale_.data(), shift_.data(), false, f.output);
  }

  void backward(const OpBackward& b) const override {
    kernels::NormBackwardArguments a;
    a.input = b.inputs[0];
    a.delta = b.delta;
    a.below = b.below[0];
    a.add_below = b.add[0];
    backward_norm(kernels(), *norm_tables(), b.samples, a, b.gradients);
  }

  std::optional<NormTables> norm_tables() const override {
    return NormTables{scale_.data(), shift_.data(), mean_.data(), inverse_.data()};
  }

 private:
  std::size_t padded(std::size_t lanes) const { return (output_.features + lanes - 1) / lanes * lanes; }

  double eps_;
  AlignedBuffer<float> scale_, shift_, mean_, inverse_;
};

}  // namespace

std::unique_ptr<Op> make_batch_norm(LayerFields& fields, std::span<const ValueShape> inputs) {
  const ValueShape& input = ops::only_input(fields, inputs);
  const double eps = fields.number("eps", 1e-5);
  if (!(eps >= 0)) fields.fail("'eps' must not be negative");
  fields.number("momentum", 0.1);  // of training, which this engine does not do
  return std::make_unique<BatchNormOp>(input, eps, fields.flag("affine", true));
}

}  // namespace fisherdiag
