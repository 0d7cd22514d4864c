// Layer norm and RMS norm: each position's features are brought to a common size.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

/// The sum of f(0), ..., f(n - 1) in chains that compilers vectorise.
template <class F>
double sum_of(std::size_t n, const F& f) {
  std::array<double, 8> chains{};
  std::size_t i = 0;
  for (; i + chains.size() <= n; i += chains.size())
    for (std::size_t l = 0; l < chains.size(); ++l) chains[l] += static_cast<double>(f(i + l));
  for (; i < n; ++i) chains[0] += static_cast<double>(f(i));
  double sum = 0;
  for (const double chain : chains) sum += chain;
  return sum;
}

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
    scale_ = AlignedBuffer<float>(features_);
    shift_ = AlignedBuffer<float>(features_);
    std::ranges::fill(scale_, 1.f);
  }

  void pack(std::span<const std::span<const float>> parameters) override {
    std::ranges::copy(parameters[0], scale_.begin());
    if (parameters.size() > 1) std::ranges::copy(parameters[1], shift_.begin());
  }

  std::size_t packed_bytes(std::size_t) const override {
    return 2 * aligned_bytes(features_ * sizeof(float));
  }
  std::size_t scratch_floats(std::size_t lanes) const override {
    return 2 * OpScratch::floats(1, features_, lanes);
  }

  void forward(const OpForward& f) const override {
    const std::size_t lanes = kernels().lanes;
    f.scratch->reset();
    float* x = f.scratch->strips(1, features_).data;
    for (std::size_t r = 0; r < f.output.rows; ++r) {
      ops::read_block(f.inputs[0], r, 1, 0, features_, lanes, x, features_);
      normalize(x);
      for (std::size_t c = 0; c < features_; ++c) x[c] = x[c] * scale_[c] + shift_[c];
      ops::write_block(x, features_, false, f.output, r, 1, 0, features_, lanes);
    }
  }

  void backward(const OpBackward& b) const override {
    const std::size_t lanes = kernels().lanes, positions = b.delta.rows / b.samples;
    b.scratch->reset();
    float* x = b.scratch->strips(1, features_).data;
    float* d = b.scratch->strips(1, features_).data;
    for (std::size_t r = 0; r < b.delta.rows; ++r) {
      ops::read_block(b.inputs[0], r, 1, 0, features_, lanes, x, features_);
      ops::read_block(b.delta, r, 1, 0, features_, lanes, d, features_);
      const float inverse = normalize(x);
      add_gradients(x, d, r / positions, b.gradients);
      if (!b.below[0].data) continue;
      to_input(x, inverse, d);
      ops::write_block(d, features_, b.add[0], b.below[0], r, 1, 0, features_, lanes);
    }
  }

 private:
  /// x becomes (x - mean) times what is returned, 1 / sqrt(variance + eps).
  float normalize(float* x) const {
    const auto n = static_cast<double>(features_);
    const double mean = centred_ ? sum_of(features_, [&](std::size_t c) { return x[c]; }) / n : 0;
    const double variance = sum_of(features_,
                                   [&](std::size_t c) {
                                     const double off = static_cast<double>(x[c]) - mean;
                                     return off * off;
                                   }) /
                            n;
    const double inverse = 1 / std::sqrt(variance + eps_);
    for (std::size_t c = 0; c < features_; ++c)
      x[c] = static_cast<float>((static_cast<double>(x[c]) - mean) * inverse);
    return static_cast<float>(inverse);
  }

  /// With u the normalised input: the position's part of the weight's gradient, d u, and of the bias's, d.
  void add_gradients(const float* u, const float* d, std::size_t sample,
                     std::span<const GradientRows> gradients) const {
    if (!gradients.empty()) {
      float* to = gradients[0].data + sample * gradients[0].stride;
      for (std::size_t c = 0; c < features_; ++c) to[c] += d[c] * u[c];
    }
    if (gradients.size() > 1) {
      float* to = gradients[1].data + sample * gradients[1].stride;
      for (std::size_t c = 0; c < features_; ++c) to[c] += d[c];
    }
  }

  /// d becomes inverse (g - mean(g) - u mean(g u)) with g = d weight; without centring mean(g) is left out.
  void to_input(const float* u, float inverse, float* d) const {
    const auto n = static_cast<double>(features_);
    for (std::size_t c = 0; c < features_; ++c) d[c] *= scale_[c];
    const auto mean =
        static_cast<float>(centred_ ? sum_of(features_, [&](std::size_t c) { return d[c]; }) / n : 0);
    const auto along = static_cast<float>(sum_of(features_, [&](std::size_t c) { return d[c] * u[c]; }) / n);
    for (std::size_t c = 0; c < features_; ++c) d[c] = inverse * (d[c] - mean - u[c] * along);
  }

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
