// Group norm: each sample's channels are normalised group by group over all positions (Wu and He 2018).
#include <algorithm>
#include <cmath>
#include <vector>

#include "fisherdiag/nn/norm_sums.hpp"
#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

class GroupNormOp final : public Op {
 public:
  GroupNormOp(const ValueShape& input, std::size_t groups, double eps, bool affine)
      : channels_(input.features / groups), eps_(eps), weight_(input.features, 1.f), bias_(input.features) {
    output_ = input;
    const std::vector<std::size_t> shape{input.features};
    if (affine) parameters_ = {{"weight", shape, false, 1, 0}, {"bias", shape, false, 0, 0}};
  }

  OpFlops flops() const override {
    const double all = static_cast<double>(output_.size());
    return {6 * all, 8 * all, parameters_.empty() ? 0 : 4 * all};
  }

  void pack(std::span<const std::span<const float>> parameters) override {
    std::ranges::copy(parameters[0], weight_.begin());
    std::ranges::copy(parameters[1], bias_.begin());
  }

  std::size_t packed_bytes(std::size_t) const override { return 2 * output_.features * sizeof(float); }

  void forward(const OpForward& f) const override {
    Statistics s(padded());
    AlignedBuffer<float> scale(padded()), shift(padded());
    for (std::size_t n = 0; n < f.samples; ++n) {
      statistics(f.inputs[0], n, s);
      for (std::size_t c = 0; c < output_.features; ++c) {
        scale[c] = weight_[c] * s.inverse[c];
        shift[c] = static_cast<float>(static_cast<double>(bias_[c]) -
                                      static_cast<double>(scale[c]) * s.exact_mean[c]);
      }
      kernels().scale_columns(rows(f.inputs[0], n), scale.data(), shift.data(), false, rows(f.output, n));
    }
  }

  void backward(const OpBackward& b) const override {
    Statistics s(padded());
    std::vector<double> sum(padded()), product(padded());  // of delta, and of delta times the normalised x
    AlignedBuffer<float> scale(padded()), slope(padded()), shift(padded());
    for (std::size_t n = 0; n < b.samples; ++n) {
      statistics(b.inputs[0], n, s);
      const std::size_t lanes = kernels().lanes, positions = output_.positions();
      for (std::size_t strip = 0; strip * lanes < output_.features; ++strip) {
        const ops::NormSums sums = ops::norm_sums(b.inputs[0], b.delta, strip, n * positions, positions,
                                                  lanes, s.mean.data() + strip * lanes);
        for (std::size_t i = 0; i < lanes; ++i) {
          sum[strip * lanes + i] = sums.delta[i];
          product[strip * lanes + i] = sums.product[i] * static_cast<double>(s.inverse[strip * lanes + i]);
        }
      }
      if (!parameters_.empty())
        for (std::size_t c = 0; c < output_.features; ++c) {
          b.gradients[0].data[n * b.gradients[0].stride + c] += static_cast<float>(product[c]);
          b.gradients[1].data[n * b.gradients[1].stride + c] += static_cast<float>(sum[c]);
        }
      if (!b.below[0].data) continue;
      // below = inverse (weight delta - mean(weight delta) - normalised x mean(weight delta normalised x)),
      // means over the group.
      const double count = static_cast<double>(channels_ * positions);
      for (std::size_t first = 0; first < output_.features; first += channels_) {
        double all = 0, along = 0;
        for (std::size_t c = first; c < first + channels_; ++c) {
          all += static_cast<double>(weight_[c]) * sum[c] / count;
          along += static_cast<double>(weight_[c]) * product[c] / count;
        }
        for (std::size_t c = first; c < first + channels_; ++c) {
          const double inverse = static_cast<double>(s.inverse[c]);
          scale[c] = weight_[c] * s.inverse[c];
          slope[c] = static_cast<float>(-inverse * inverse * along);
          shift[c] = static_cast<float>(inverse * (inverse * along * s.exact_mean[c] - all));
        }
      }
      const kernels::Strips below = rows(b.below[0], n);
      kernels().scale_columns(rows(b.delta, n), scale.data(), shift.data(), b.add[0], below);
      kernels().scale_columns(rows(b.inputs[0], n), slope.data(), nullptr, true, below);
    }
  }

 private:
  /// Of one sample, per channel.
  struct Statistics {
    explicit Statistics(std::size_t channels) : mean(channels), inverse(channels), exact_mean(channels) {}
    std::vector<float> mean, inverse;  // inverse: 1 / sqrt(var + eps)
    std::vector<double> exact_mean;
  };

  std::size_t padded() const {
    const std::size_t lanes = kernels().lanes;
    return (output_.features + lanes - 1) / lanes * lanes;
  }

  template <class T>
  kernels::StripsOf<T> rows(const kernels::StripsOf<T>& m, std::size_t sample) const {
    const std::size_t positions = output_.positions();
    return ops::rows_of(m, sample * positions, positions, kernels().lanes);
  }

  /// sum over the group of (x - center)^power.
  double group_sum(const kernels::ConstStrips& x, std::size_t sample, std::size_t first, double center,
                   int power) const {
    const std::size_t lanes = kernels().lanes, positions = output_.positions();
    double sum = 0;
    for (std::size_t strip = first / lanes; strip * lanes < first + channels_; ++strip) {
      const auto sums = ops::centered_sums(x, strip, sample * positions, positions, lanes, center, power);
      for (std::size_t i = 0; i < lanes; ++i)
        if (strip * lanes + i >= first && strip * lanes + i < first + channels_) sum += sums[i];
    }
    return sum;
  }

  void statistics(const kernels::ConstStrips& x, std::size_t sample, Statistics& s) const {
    const double count = static_cast<double>(channels_ * output_.positions());
    for (std::size_t first = 0; first < output_.features; first += channels_) {
      const double mean = group_sum(x, sample, first, 0, 1) / count;
      const double inverse = 1 / std::sqrt(group_sum(x, sample, first, mean, 2) / count + eps_);
      for (std::size_t c = first; c < first + channels_; ++c) {
        s.exact_mean[c] = mean;
        s.mean[c] = static_cast<float>(mean);
        s.inverse[c] = static_cast<float>(inverse);
      }
    }
  }

  std::size_t channels_;  // of a group
  double eps_;
  std::vector<float> weight_, bias_;
};

}  // namespace

std::unique_ptr<Op> make_group_norm(LayerFields& fields, std::span<const ValueShape> inputs) {
  const ValueShape& input = ops::only_input(fields, inputs);
  const std::size_t groups = fields.size("groups");
  if (input.features % groups) fields.fail("'groups' must divide the channels of its input " + input.text());
  const double eps = fields.number("eps", 1e-5);
  if (!(eps >= 0)) fields.fail("'eps' must not be negative");
  return std::make_unique<GroupNormOp>(input, groups, eps, fields.flag("affine", true));
}

}  // namespace fisherdiag
