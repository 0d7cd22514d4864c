// The sum of two or more values, as at the end of a residual block.
#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

class AddOp final : public Op {
 public:
  explicit AddOp(const ValueShape& input) { output_ = input; }

  void forward(const OpForward& f) const override {
    for (std::size_t j = 0; j < f.inputs.size(); ++j) ops::copy(kernels(), f.inputs[j], j > 0, f.output);
  }
  void backward(const OpBackward& b) const override {
    for (std::size_t j = 0; j < b.below.size(); ++j)
      if (b.below[j].data) ops::copy(kernels(), b.delta, b.add[j], b.below[j]);
  }
};

}  // namespace

std::unique_ptr<Op> make_add(LayerFields& fields, std::span<const ValueShape> inputs) {
  constexpr std::size_t kMost = 8;
  if (inputs.size() < 2 || inputs.size() > kMost) fields.fail("takes two to eight inputs, named in 'from'");
  for (const ValueShape& input : inputs)
    if (input != inputs.front())
      fields.fail("its inputs have shapes " + inputs.front().text() + " and " + input.text());
  return std::make_unique<AddOp>(inputs.front());
}

}  // namespace fisherdiag
