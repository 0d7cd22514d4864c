// C independent yes/no outputs, P(y_c = 1) = sigmoid(z_c). Target: C zeros and ones.
#include <algorithm>
#include <cmath>

#include "fisherdiag/likelihood/independent_outputs.hpp"

namespace fisherdiag::detail {

namespace {

class Bernoulli final : public IndependentOutputs {
 public:
  using IndependentOutputs::IndependentOutputs;

  void prepare(MatrixView<const float> logits, std::span<const std::uint64_t>) override {
    grow(yes_, logits.rows * outputs());
    grow(no_, logits.rows * outputs());
    rows_ = logits.rows;
    for (std::size_t r = 0; r < rows_; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) {
        const float z = logits(r, c);
        const float e = std::exp(-std::abs(z));
        const float likely = 1.0f / (1.0f + e), unlikely = e / (1.0f + e);
        yes_[r * outputs() + c] = z > 0 ? likely : unlikely;
        no_[r * outputs() + c] = z > 0 ? unlikely : likely;
      }
  }

  void check_targets(MatrixView<const float> targets, std::span<const std::uint64_t> samples) const override {
    for (std::size_t r = 0; r < targets.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c)
        if (targets(r, c) != 0.0f && targets(r, c) != 1.0f)
          throw_bad_target(samples[r], c, targets(r, c), "neither 0 nor 1");
  }

  void residuals(MatrixView<const float> targets, float scale, MatrixView<float> seeds) const override {
    for (std::size_t r = 0; r < seeds.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) seeds(r, c) = scale * residual(r, c, targets(r, c) != 0.0f);
  }

  void modes(MatrixView<float> targets) const override {
    for (std::size_t r = 0; r < rows_; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) {
        const std::size_t i = r * outputs() + c;
        targets(r, c) = yes_[i] > no_[i] ? 1.0f : 0.0f;
      }
  }

  void draw(std::size_t r, RandomStream& random, float* draw) const override {
    for (std::size_t c = 0; c < outputs(); ++c)
      draw[c] = residual(r, c, random.next_uniform() < static_cast<double>(yes_[r * outputs() + c]));
  }

  double nll(MatrixView<const float> logits, MatrixView<const float> targets) const override {
    double sum = 0;
    for (std::size_t r = 0; r < logits.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) {
        const double z = static_cast<double>(logits(r, c));
        const double against = targets(r, c) != 0.0f ? -z : z;
        sum += std::max(against, 0.0) + std::log1p(std::exp(-std::abs(z)));
      }
    return sum;
  }

 private:
  /// sigmoid(z) - y, where sigmoid(z) - 1 is -sigmoid(-z): no cancellation.
  float residual(std::size_t r, std::size_t c, bool y) const {
    return y ? -no_[r * outputs() + c] : yes_[r * outputs() + c];
  }
  float variance(std::size_t r, std::size_t c) const override {
    return yes_[r * outputs() + c] * no_[r * outputs() + c];
  }

  std::size_t rows_ = 0;
  AlignedBuffer<float> yes_;  // [rows, C]: P(y = 1)
  AlignedBuffer<float> no_;   // [rows, C]: P(y = 0), not formed as 1 - P(y = 1)
};

}  // namespace

std::unique_ptr<OutputModel> make_bernoulli(std::size_t outputs) {
  return std::make_unique<Bernoulli>(outputs);
}

}  // namespace fisherdiag::detail
