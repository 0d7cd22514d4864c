// One of C classes, p = softmax(z). Target: the class index.
#include <algorithm>
#include <cmath>
#include <limits>

#include "fisherdiag/likelihood/output_model.hpp"

namespace fisherdiag::detail {

namespace {

/// Sum over c != label of p[c]; four chains keep it short of C dependent additions.
float sum_of_others(const float* p, std::size_t classes, std::size_t label) {
  float chains[4] = {};
  std::size_t c = 0;
  for (; c + 4 <= classes; c += 4)
    for (std::size_t l = 0; l < 4; ++l) chains[l] += c + l == label ? 0.0f : p[c + l];
  for (; c < classes; ++c) chains[0] += c == label ? 0.0f : p[c];
  return (chains[0] + chains[1]) + (chains[2] + chains[3]);
}

class Categorical final : public OutputModel {
 public:
  Categorical(std::size_t outputs, const kernels::KernelTable& kernels)
      : OutputModel(outputs), kernels_(&kernels) {}

  std::size_t target_width() const override { return 1; }
  std::size_t factor_columns() const override { return outputs() - 1; }

  void prepare(MatrixView<const float> logits, std::span<const std::uint64_t>) override {
    rows_ = logits.rows;
    grow(p_, rows_ * outputs());
    kernels_->softmax_rows(logits.data, logits.stride, p_.data(), outputs(), rows_, outputs(), nullptr);
  }

  void check_targets(MatrixView<const float> targets, std::span<const std::uint64_t> samples) const override {
    const auto classes = static_cast<float>(outputs());
    for (std::size_t r = 0; r < targets.rows; ++r) {
      const float label = targets(r, 0);
      if (!(label >= 0 && label < classes) || label != static_cast<float>(static_cast<std::uint32_t>(label)))
        throw_bad_target(samples[r], 0, label,
                         "not a class: labels are whole numbers from 0 to " + std::to_string(outputs() - 1));
    }
  }

  void residuals(MatrixView<const float> targets, float scale, MatrixView<float> seeds) const override {
    for (std::size_t r = 0; r < seeds.rows; ++r) {
      const float* p = row(r);
      float* seed = seeds.row(r);
      const std::size_t label = static_cast<std::uint32_t>(targets(r, 0));
      for (std::size_t c = 0; c < outputs(); ++c) seed[c] = scale * p[c];
      // Not p - 1, which is exactly 0 for a sample that is surer than 1 - 6e-8.
      seed[label] = -scale * sum_of_others(p, outputs(), label);
    }
  }

  void modes(MatrixView<float> targets) const override {
    for (std::size_t r = 0; r < rows_; ++r)
      targets(r, 0) = static_cast<float>(std::max_element(row(r), row(r) + outputs()) - row(r));
  }

  /// Inverse of the cumulative distribution at one uniform number.
  void draw(std::size_t r, RandomStream& random, float* draw) const override {
    const float* p = row(r);
    double total = 0;
    for (std::size_t c = 0; c < outputs(); ++c) total += static_cast<double>(p[c]);
    const double threshold = random.next_uniform() * total;
    double cumulative = static_cast<double>(p[0]);
    std::size_t label = 0;
    while (threshold >= cumulative && label + 1 < outputs()) cumulative += static_cast<double>(p[++label]);
    *draw = static_cast<float>(label);
  }

  void drawn_residuals(MatrixView<const float> draws, float scale, MatrixView<float> seeds) const override {
    residuals(draws, scale, seeds);
  }

  void prepare_factor() override;
  void factor_column(std::size_t k, MatrixView<float> seeds) const override;
  void factor_times_signs(std::size_t r, const std::uint32_t* signs, float scale, float* seed) const override;
  void variances(MatrixView<float> squares) const override;
  double nll(MatrixView<const float> logits, MatrixView<const float> targets) const override;

 private:
  const float* row(std::size_t r) const { return p_.data() + r * outputs(); }

  const kernels::KernelTable* kernels_;
  std::size_t rows_ = 0;
  AlignedBuffer<float> p_;         // [rows, C]
  AlignedBuffer<float> diagonal_;  // [rows, C]: L_kk, 0 in the last entry
  AlignedBuffer<float> ratio_;     // [rows, C]: -L_ik / p_i for i > k, 0 in the last entry
};

/// Closed-form triangular factor of diag(p) - p p^T (Tanabe and Sagae, "An exact Cholesky decomposition and
/// the generalized inverse of the variance-covariance matrix of the multinomial distribution", J. R. Stat.
/// Soc. B 54 (1992) 211-219). With q_k = sum of p_j over j > k: L_kk^2 = p_k q_k / q_(k-1), L_ik = -(p_i /
/// q_k) L_kk.
void Categorical::prepare_factor() {
  grow(diagonal_, rows_ * outputs());
  grow(ratio_, rows_ * outputs());
  for (std::size_t r = 0; r < rows_; ++r) {
    const float* p = row(r);
    float* diagonal = diagonal_.data() + r * outputs();
    float* ratio = ratio_.data() + r * outputs();
    diagonal[outputs() - 1] = ratio[outputs() - 1] = 0;
    float after = 0;  // q_k, added up from the end: 1 - (sum so far) would cancel
    for (std::size_t k = outputs() - 1; k-- > 0;) {
      after += p[k + 1];
      const bool vanishes = after < std::numeric_limits<float>::min();
      ratio[k] = vanishes ? 0.0f : std::sqrt(p[k] / (after + p[k]) / after);
      diagonal[k] = ratio[k] * after;
    }
  }
}

void Categorical::factor_column(std::size_t k, MatrixView<float> seeds) const {
  for (std::size_t r = 0; r < seeds.rows; ++r) {
    const float* p = row(r);
    float* seed = seeds.row(r);
    const float ratio = ratio_[r * outputs() + k];
    std::fill_n(seed, k, 0.0f);
    seed[k] = diagonal_[r * outputs() + k];
    for (std::size_t i = k + 1; i < outputs(); ++i) seed[i] = -ratio * p[i];
  }
}

void Categorical::factor_times_signs(std::size_t r, const std::uint32_t* signs, float scale,
                                     float* seed) const {
  const float* p = row(r);
  const float* diagonal = diagonal_.data() + r * outputs();
  const float* ratio = ratio_.data() + r * outputs();
  float sum = 0;
  for (std::size_t i = 0; i + 1 < outputs(); ++i) {
    const float sign = sign_of(signs, i);
    seed[i] = scale * (sign * diagonal[i] - p[i] * sum);
    sum += sign * ratio[i];
  }
  seed[outputs() - 1] = -scale * p[outputs() - 1] * sum;
}

void Categorical::variances(MatrixView<float> squares) const {
  for (std::size_t r = 0; r < squares.rows; ++r) {
    const float* p = row(r);
    float* square = squares.row(r);
    std::size_t likely = outputs();
    for (std::size_t c = 0; c < outputs(); ++c) {
      square[c] = p[c] * (1.0f - p[c]);
      if (p[c] > 0.5f) likely = c;
    }
    if (likely < outputs()) square[likely] = p[likely] * sum_of_others(p, outputs(), likely);
  }
}

double Categorical::nll(MatrixView<const float> logits, MatrixView<const float> targets) const {
  constexpr float kRarest = 1e-30f;  // below it p has lost bits to underflow
  double sum = 0;
  for (std::size_t r = 0; r < logits.rows; ++r) {
    const std::size_t label = static_cast<std::uint32_t>(targets(r, 0));
    const float p = row(r)[label];
    if (p > 0.5f) {
      sum -= std::log1p(-static_cast<double>(sum_of_others(row(r), outputs(), label)));
    } else if (p > kRarest) {
      sum -= std::log(static_cast<double>(p));
    } else {
      const float* z = logits.row(r);
      const double largest = *std::max_element(z, z + outputs());
      double normalizer = 0;
      for (std::size_t c = 0; c < outputs(); ++c) normalizer += std::exp(static_cast<double>(z[c]) - largest);
      sum += largest + std::log(normalizer) - static_cast<double>(z[label]);
    }
  }
  return sum;
}

}  // namespace

std::unique_ptr<OutputModel> make_categorical(std::size_t outputs, const kernels::KernelTable& kernels) {
  return std::make_unique<Categorical>(outputs, kernels);
}

}  // namespace fisherdiag::detail
