// A sequence to one vector.
#include <algorithm>
#include <optional>

#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

/// The mean over positions, of those that are no padding.
class SequenceMeanOp final : public Op {
 public:
  SequenceMeanOp(LayerFields& fields, std::span<const ValueShape> inputs) {
    masked_ = fields.has("padding_idx");
    if (masked_) padding_ = static_cast<float>(fields.sizes("padding_idx", 1, std::nullopt, 0)[0]);
    if (inputs.size() != (masked_ ? 2U : 1U))
      fields.fail(std::string("takes a sequence") + (masked_ ? " and the token ids" : "") + ", not " +
                  std::to_string(inputs.size()) + " inputs");
    if (inputs[0].channels_first || inputs[0].grid.size() != 1)
      fields.fail("takes a sequence, not " + inputs[0].text());
    if (masked_ && (inputs[1].features != 1 || inputs[1].grid != inputs[0].grid))
      fields.fail("takes token ids as its last input where 'padding_idx' is given, not " + inputs[1].text());
    positions_ = inputs[0].positions();
    output_ = {{}, inputs[0].features, true};
  }

  std::size_t scratch_floats(std::size_t lanes) const override {
    return OpScratch::floats(1, positions_, lanes);
  }

  void forward(const OpForward& f) const override {
    f.scratch->reset();
    float* weights = f.scratch->strips(1, positions_).data;
    for (std::size_t n = 0; n < f.samples; ++n) {
      weigh(f.inputs, n, weights);
      for_strips([&](std::size_t strip, std::size_t lanes) {
        const float* from = f.inputs[0].data + strip * f.inputs[0].stride + n * positions_ * lanes;
        float* to = f.output.data + strip * f.output.stride + n * lanes;
        std::fill_n(to, lanes, 0.f);
        for (std::size_t t = 0; t < positions_; ++t)
          for (std::size_t l = 0; l < lanes; ++l) to[l] += weights[t] * from[t * lanes + l];
      });
    }
  }

  void backward(const OpBackward& b) const override {
    if (!b.below[0].data) return;
    b.scratch->reset();
    float* weights = b.scratch->strips(1, positions_).data;
    for (std::size_t n = 0; n < b.samples; ++n) {
      weigh(b.inputs, n, weights);
      for_strips([&](std::size_t strip, std::size_t lanes) {
        const float* from = b.delta.data + strip * b.delta.stride + n * lanes;
        float* to = b.below[0].data + strip * b.below[0].stride + n * positions_ * lanes;
        for (std::size_t t = 0; t < positions_; ++t)
          for (std::size_t l = 0; l < lanes; ++l)
            to[t * lanes + l] = (b.add[0] ? to[t * lanes + l] : 0.f) + weights[t] * from[l];
      });
    }
  }

 private:
  /// The weight of each position of sample n; all 0 where all is padding.
  void weigh(std::span<const kernels::ConstStrips> inputs, std::size_t n, float* weights) const {
    const std::size_t lanes = kernels().lanes;
    float count = 0;
    for (std::size_t t = 0; t < positions_; ++t) {
      weights[t] = masked_ && inputs[1].data[(n * positions_ + t) * lanes] == padding_ ? 0.f : 1.f;
      count += weights[t];
    }
    for (std::size_t t = 0; t < positions_; ++t) weights[t] /= std::max(count, 1.f);
  }
  template <class F>
  void for_strips(const F& f) const {
    const std::size_t lanes = kernels().lanes;
    for (std::size_t strip = 0; strip * lanes < output_.features; ++strip) f(strip, lanes);
  }

  bool masked_ = false;
  float padding_ = 0;
  std::size_t positions_ = 0;
};

}  // namespace

std::unique_ptr<Op> make_sequence_mean(LayerFields& fields, std::span<const ValueShape> inputs) {
  return std::make_unique<SequenceMeanOp>(fields, inputs);
}

}  // namespace fisherdiag
