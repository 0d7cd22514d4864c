// Layer norm and RMS norm: each position's features are brought to a common size.
#include <algorithm>
#include <limits>

#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

/// y = (x - mean) / sqrt(variance + eps) * weight + bias over the features of a position (Ba, Kiros and
/// Hinton, arXiv:1607.06450); without centring y = x / sqrt(mean of x^2 + eps) * weight (Zhang and Sennrich,
/// arXiv:1910.07467).
class RowNormOp final : public Op {
 public:
  RowNormOp(LayerFields& fields, const ValueShape& input, bool centred, double eps)
      : features_(input.features), centred_(centred) {
    if (input.channels_first && !input.grid.empty())
      fields.fail("takes sequences or flat inputs, not " + input.text());
    eps_ = fields.number("eps", eps);
    if (eps_ < 0) fields.fail("'eps' must not be negative");
    output_ = input;
    if (!fields.flag("affine", true)) return;
    parameters_.push_back({"weight", {features_}, false, 1, 0});
    if (centred && fields.has_bias()) parameters_.push_back({"bias", {features_}, false, 0, 0});
  }

  void prepare(const kernels::KernelTable& kernels) override {
    Op::prepare(kernels);
    scale_ = AlignedBuffer<float>(padded(kernels.lanes));
    shift_ = AlignedBuffer<float>(padded(kernels.lanes));
    std::fill_n(scale_.begin(), features_, 1.f);
  }

  void pack(std::span<const std::span<const float>> parameters) override {
    std::ranges::copy(parameters[0], scale_.begin());
    if (parameters.size() > 1) std::ranges::copy(parameters[1], shift_.begin());
  }

  std::size_t packed_bytes(std::size_t lanes) const override {
    return 2 * aligned_bytes(padded(lanes) * sizeof(float));
  }

  void forward(const OpForward& f) const override {
    kernels::RowNormArguments a;
    a.input = f.inputs[0];
    a.scale = scale_.data();
    a.shift = shift_.data();
    a.centred = centred_;
    a.eps = static_cast<float>(eps_);
    a.output = f.output;
    kernels().row_norm_forward(a);
  }

  void backward(const OpBackward& b) const override {
    const std::size_t lanes = kernels().lanes, positions = b.delta.rows / b.samples;
    kernels::RowNormBackwardArguments a;
    a.scale = scale_.data();
    a.centred = centred_;
    a.eps = static_cast<float>(eps_);
    a.add = b.add[0];
    for (std::size_t n = 0; n < b.samples; ++n) {
      a.input = ops::rows_of(b.inputs[0], n * positions, positions, lanes);
      a.delta = ops::rows_of(b.delta, n * positions, positions, lanes);
      if (b.below[0].data) a.below = ops::rows_of(b.below[0], n * positions, positions, lanes);
      if (!b.gradients.empty()) a.scale_gradient = b.gradients[0].data + n * b.gradients[0].stride;
      if (b.gradients.size() > 1) a.shift_gradient = b.gradients[1].data + n * b.gradients[1].stride;
      kernels().row_norm_backward(a);
    }
  }

 private:
  std::size_t padded(std::size_t lanes) const { return (features_ + lanes - 1) / lanes * lanes; }

  std::size_t features_;
  bool centred_;
  double eps_ = 0;
  AlignedBuffer<float> scale_, shift_;
};

}  // namespace

std::unique_ptr<Op> make_layer_norm(LayerFields& fields, std::span<const ValueShape> inputs) {
  constexpr double kEps = 1e-5;  // as torch.nn.LayerNorm
  return std::make_unique<RowNormOp>(fields, ops::only_input(fields, inputs), true, kEps);
}

std::unique_ptr<Op> make_rms_norm(LayerFields& fields, std::span<const ValueShape> inputs) {
  constexpr double kEps = std::numeric_limits<float>::epsilon();  // as torch.nn.RMSNorm
  return std::make_unique<RowNormOp>(fields, ops::only_input(fields, inputs), false, kEps);
}

}  // namespace fisherdiag
