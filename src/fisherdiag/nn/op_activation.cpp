// Functions applied to every number, and the layers that do nothing in evaluation mode.
#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

class ActivationOp final : public Op {
 public:
  ActivationOp(const ValueShape& input, kernels::Function function) : function_(function) { output_ = input; }

  bool has_slope() const override {
    return function_ == kernels::Function::Tanh || function_ == kernels::Function::Sigmoid ||
           function_ == kernels::Function::Gelu || function_ == kernels::Function::Silu;
  }

  void forward(const OpForward& f) const override {
    if (f.slope.data)
      kernels().activate_keeping_slope(function_, f.slope, f.output);
    else
      kernels().activate(function_, f.inputs[0], f.output);
  }
  void backward(const OpBackward& b) const override {
    if (!b.below[0].data) return;
    if (b.has_slope)
      kernels().multiply_slope(b.inputs[0], b.delta, b.add[0], b.below[0]);
    else
      kernels().activate_backward(function_, b.inputs[0], b.delta, b.add[0], b.below[0]);
  }

 private:
  kernels::Function function_;
};

std::unique_ptr<Op> make_activation(const LayerFields& fields, std::span<const ValueShape> inputs,
                                    kernels::Function function) {
  return std::make_unique<ActivationOp>(ops::only_input(fields, inputs), function);
}

}  // namespace

std::unique_ptr<Op> make_relu(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_activation(fields, inputs, kernels::Function::Relu);
}
std::unique_ptr<Op> make_relu6(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_activation(fields, inputs, kernels::Function::Relu6);
}
std::unique_ptr<Op> make_tanh(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_activation(fields, inputs, kernels::Function::Tanh);
}
std::unique_ptr<Op> make_sigmoid(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_activation(fields, inputs, kernels::Function::Sigmoid);
}
std::unique_ptr<Op> make_gelu(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_activation(fields, inputs, kernels::Function::Gelu);
}
std::unique_ptr<Op> make_silu(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_activation(fields, inputs, kernels::Function::Silu);
}
std::unique_ptr<Op> make_identity(LayerFields& fields, std::span<const ValueShape> inputs) {
  fields.number("p", 0);  // the probability of dropout, of no effect in evaluation mode
  return make_activation(fields, inputs, kernels::Function::Identity);
}

}  // namespace fisherdiag
