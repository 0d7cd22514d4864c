// C independent counts with rates exp(z_c). Target: C whole numbers >= 0.
#include <cmath>
#include <sstream>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/independent_outputs.hpp"
#include "fisherdiag/likelihood/poisson_draw.hpp"

namespace fisherdiag::detail {

namespace {

class Poisson final : public IndependentOutputs {
 public:
  using IndependentOutputs::IndependentOutputs;

  void prepare(MatrixView<const float> logits, std::span<const std::uint64_t> samples) override {
    grow(rates_, logits.rows * outputs());
    rows_ = logits.rows;
    for (std::size_t r = 0; r < rows_; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) {
        const float rate = std::exp(logits(r, c));
        if (!std::isfinite(rate)) throw_bad_rate(samples[r], c, logits(r, c));
        rates_[r * outputs() + c] = rate;
      }
  }

  void check_targets(MatrixView<const float> targets, std::span<const std::uint64_t> samples) const override {
    for (std::size_t r = 0; r < targets.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) {
        const float y = targets(r, c);
        if (!(y >= 0) || !std::isfinite(y) || y != std::floor(y))
          throw_bad_target(samples[r], c, y, "not a count: counts are whole numbers from 0");
      }
  }

  void residuals(MatrixView<const float> targets, float scale, MatrixView<float> seeds) const override {
    for (std::size_t r = 0; r < seeds.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c)
        seeds(r, c) = scale * (rates_[r * outputs() + c] - targets(r, c));
  }

  void modes(MatrixView<float> targets) const override {
    for (std::size_t r = 0; r < rows_; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) targets(r, c) = std::floor(rates_[r * outputs() + c]);
  }

  void draw(std::size_t r, RandomStream& random, float* draw) const override {
    for (std::size_t c = 0; c < outputs(); ++c) {
      const double rate = static_cast<double>(rates_[r * outputs() + c]);
      draw[c] = static_cast<float>(-draw_poisson_excess(rate, random));
    }
  }

  double nll(MatrixView<const float> logits, MatrixView<const float> targets) const override {
    double sum = 0;
    for (std::size_t r = 0; r < logits.rows; ++r)
      for (std::size_t c = 0; c < outputs(); ++c) {
        const double z = static_cast<double>(logits(r, c)), y = static_cast<double>(targets(r, c));
        sum += std::exp(z) - y * z + log_factorial(y);
      }
    return sum;
  }

 private:
  float variance(std::size_t r, std::size_t c) const override { return rates_[r * outputs() + c]; }

  [[noreturn]] static void throw_bad_rate(std::uint64_t sample, std::size_t output, float z) {
    std::ostringstream text;
    text << "sample " << sample << ": the Poisson rate exp(" << z << ") of output " << output
         << " is not finite";
    throw DataError(text.str());
  }

  std::size_t rows_ = 0;
  AlignedBuffer<float> rates_;  // [rows, C]
};

}  // namespace

std::unique_ptr<OutputModel> make_poisson(std::size_t outputs) {
  return std::make_unique<Poisson>(outputs);
}

}  // namespace fisherdiag::detail
