// All numbers of a sample at one position, in the order of the framework.
#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

class FlattenOp final : public Op {
 public:
  explicit FlattenOp(const ValueShape& input) : input_(input) { output_ = {{}, input.size(), true}; }

  void forward(const OpForward& f) const override {
    for_each(f.samples, f.inputs[0].stride, f.output.stride,
             [&](std::size_t wide, std::size_t flat) { f.output.data[flat] = f.inputs[0].data[wide]; });
  }
  void backward(const OpBackward& b) const override {
    const kernels::Strips& below = b.below[0];
    if (!below.data) return;
    if (!b.add[0]) ops::clear(below, kernels().lanes);
    for_each(b.samples, below.stride, b.delta.stride,
             [&](std::size_t wide, std::size_t flat) { below.data[wide] += b.delta.data[flat]; });
  }

 private:
  /// Calls f(offset before, offset after) for every number.
  template <class F>
  void for_each(std::size_t samples, std::size_t wide_stride, std::size_t flat_stride, const F& f) const {
    const std::size_t lanes = kernels().lanes, positions = input_.positions(), features = input_.features;
    const std::size_t feature_step = input_.channels_first ? positions : 1;
    const std::size_t position_step = input_.channels_first ? 1 : features;
    for (std::size_t n = 0; n < samples; ++n)
      for (std::size_t t = 0; t < positions; ++t)
        for (std::size_t c = 0; c < features; ++c) {
          const std::size_t j = c * feature_step + t * position_step;
          f(c / lanes * wide_stride + (n * positions + t) * lanes + c % lanes,
            j / lanes * flat_stride + n * lanes + j % lanes);
        }
  }

  ValueShape input_;
};

}  // namespace

std::unique_ptr<Op> make_flatten(LayerFields& fields, std::span<const ValueShape> inputs) {
  return std::make_unique<FlattenOp>(ops::only_input(fields, inputs));
}

}  // namespace fisherdiag
