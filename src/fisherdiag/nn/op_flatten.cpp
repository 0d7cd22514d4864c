// All numbers of a sample at one position, in the order of the framework.
#include <algorithm>
#include <vector>

#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

class FlattenOp final : public Op {
 public:
  explicit FlattenOp(const ValueShape& input) : input_(input) { output_ = {{}, input.size(), true}; }

  void prepare(const kernels::KernelTable& kernels) override {
    Op::prepare(kernels);
    const std::size_t positions = input_.positions(), features = input_.features, lanes = kernels.lanes;
    for (std::size_t j = 0; j < features * positions; ++j) {
      const std::size_t c = input_.channels_first ? j / positions : j % features;
      const std::size_t t = input_.channels_first ? j % positions : j / features;
      places_.push_back({c / lanes, t * lanes + c % lanes});
    }
  }
  std::size_t packed_bytes(std::size_t) const override { return input_.size() * sizeof(Place); }

  void forward(const OpForward& f) const override {
    for_each(f.samples, f.inputs[0].stride, f.output.stride,
             [&](std::size_t wide, std::size_t flat) { f.output.data[flat] = f.inputs[0].data[wide]; });
  }
  void backward(const OpBackward& b) const override {
    const kernels::Strips& below = b.below[0];
    if (!below.data) return;
    // Padding columns are written as well: what reads whole vectors must find numbers there.
    if (!b.add[0]) ops::clear(below, kernels().lanes);
    for_each(b.samples, below.stride, b.delta.stride,
             [&](std::size_t wide, std::size_t flat) { below.data[wide] += b.delta.data[flat]; });
  }

 private:
  /// Where a number of a sample stands before: its strip, and the floats from the sample's first row.
  struct Place {
    std::size_t strip, offset;
  };

  /// Calls f(offset before, offset after) for every number.
  template <class F>
  void for_each(std::size_t samples, std::size_t wide_stride, std::size_t flat_stride, const F& f) const {
    const std::size_t lanes = kernels().lanes, sample = input_.positions() * lanes;
    for (std::size_t n = 0; n < samples; ++n)
      for (std::size_t first = 0; first < places_.size(); first += lanes) {
        const std::size_t flat = first / lanes * flat_stride + n * lanes;
        const std::size_t end = std::min(first + lanes, places_.size());
        for (std::size_t j = first; j < end; ++j)
          f(places_[j].strip * wide_stride + n * sample + places_[j].offset, flat + j - first);
      }
  }

  ValueShape input_;
  std::vector<Place> places_;
};

}  // namespace

std::unique_ptr<Op> make_flatten(LayerFields& fields, std::span<const ValueShape> inputs) {
  return std::make_unique<FlattenOp>(ops::only_input(fields, inputs));
}

}  // namespace fisherdiag
