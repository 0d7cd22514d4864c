// Real outputs y ~ N(z, I): unit variance. Target: the C values.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/independent_outputs.hpp"

namespace fisherdiag::detail {

namespace {

class Gaussian final : public IndependentOutputs {
 public:
  using IndependentOutputs::IndependentOutputs;

  void prepare(MatrixView<const float> logits, std::span<const std::uint64_t>) override {
    grow(means_, logits.rows * outputs());
    for (std::size_t r = 0; r < logits.rows; ++r)
      std::copy_n(logits.row(r), outputs(), means_.data() + r * outputs());
  }

  void check_targets(MatrixView<const float> targets, std::span<const std::uint64_t> samples) const override {
    for (std::size_t r = 0; r < targets.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c)
        if (!std::isfinite(targets(r, c))) throw_bad_target(samples[r], c, targets(r, c), "not finite");
  }

  void residuals(MatrixView<const float> targets, float scale, MatrixView<float> seeds) const override {
    for (std::size_t r = 0; r < seeds.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c)
        seeds(r, c) = scale * (means_[r * outputs() + c] - targets(r, c));
  }

  void modes(MatrixView<float>) const override {
    throw ArgumentError("the predicted estimator is identically zero for the gaussian likelihood");
  }

  void draw(std::size_t, RandomStream& random, float* draw) const override {
    for (std::size_t c = 0; c < outputs(); ++c) draw[c] = static_cast<float>(-random.next_normal());
  }

  double nll(MatrixView<const float> logits, MatrixView<const float> targets) const override {
    const double per_output = 0.5 * std::log(2 * std::numbers::pi);
    double sum = 0;
    for (std::size_t r = 0; r < logits.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) {
        const double difference = static_cast<double>(logits(r, c)) - static_cast<double>(targets(r, c));
        sum += 0.5 * difference * difference + per_output;
      }
    return sum;
  }

 private:
  float variance(std::size_t, std::size_t) const override { return 1.0f; }

  AlignedBuffer<float> means_;  // [rows, C]
};

}  // namespace

std::unique_ptr<OutputModel> make_gaussian(std::size_t outputs) {
  return std::make_unique<Gaussian>(outputs);
}

}  // namespace fisherdiag::detail
