#include "fisherdiag/likelihood/seeds.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/non_finite_error.hpp"
#include "fisherdiag/likelihood/output_model.hpp"
#include "fisherdiag/likelihood/seed_source.hpp"

namespace fisherdiag {

namespace {

/// True if every value is finite. Integer comparisons of the bits without sign, which compilers vectorise.
bool all_finite(const float* values, std::size_t n) {
  constexpr std::int32_t kMagnitude = 0x7fffffff, kInfinity = 0x7f800000;
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::int32_t bits = std::bit_cast<std::int32_t>(values[i]) & kMagnitude;
    largest = bits > largest ? bits : largest;
  }
  return largest < kInfinity;
}

void check_logits(MatrixView<const float> logits, std::span<const std::uint64_t> samples) {
  if (logits.stride == logits.cols && all_finite(logits.data, logits.rows * logits.cols)) return;
  for (std::size_t r = 0; r < logits.rows; ++r) {
    if (all_finite(logits.row(r), logits.cols)) continue;
    std::size_t c = 0;
    while (std::isfinite(logits(r, c))) ++c;
    throw NonFiniteError("sample " + std::to_string(samples[r]) + ": output " + std::to_string(c) +
                         " of the network is not finite");
  }
}

void check_shapes(MatrixView<const float> logits, MatrixView<const float> targets,
                  std::span<const std::uint64_t> samples, std::size_t outputs, std::size_t target_width,
                  bool with_targets) {
  if (logits.cols != outputs)
    throw ArgumentError("logits have " + std::to_string(logits.cols) + " columns, the model has " +
                        std::to_string(outputs) + " outputs");
  if (samples.size() != logits.rows)
    throw ArgumentError("logits have " + std::to_string(logits.rows) + " rows for " +
                        std::to_string(samples.size()) + " samples");
  if (with_targets && (targets.rows != logits.rows || targets.cols != target_width))
    throw ArgumentError("targets are " + std::to_string(targets.rows) + " x " + std::to_string(targets.cols) +
                        ", needed are " + std::to_string(logits.rows) + " x " + std::to_string(target_width));
}

void check_weights(std::span<const float> weights, std::size_t rows, EstimatorKind kind) {
  if (weights.empty()) return;
  if (kind == EstimatorKind::Batched)
    throw ArgumentError(
        "estimator 'batched' takes no weights: its gradients are added before they are squared");
  if (weights.size() != rows)
    throw ArgumentError("there are " + std::to_string(weights.size()) + " weights for " +
                        std::to_string(rows) + " samples");
}

/// values(r, .) *= factors[r]; nothing if there are no factors.
void scale_rows(std::span<const float> factors, MatrixView<float> values) {
  for (std::size_t r = 0; r < factors.size(); ++r)
    for (std::size_t c = 0; c < values.cols; ++c) values(r, c) *= factors[r];
}

void square(MatrixView<float> values) {
  for (std::size_t r = 0; r < values.rows; ++r)
    for (std::size_t c = 0; c < values.cols; ++c) values(r, c) *= values(r, c);
}

}  // namespace

std::size_t seed_columns(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
                         std::size_t positions) {
  if (positions > 1) {
    const bool apart = estimator.unit == LikelihoodUnit::Token || estimator.kind == EstimatorKind::Exact;
    return (apart ? positions : 1) * seed_columns(estimator, likelihood, outputs);
  }
  switch (estimator.kind) {
    case EstimatorKind::Exact:
      return likelihood == Likelihood::Categorical ? outputs - 1 : outputs;
    case EstimatorKind::MonteCarlo:
    case EstimatorKind::Sketch:
      return estimator.draws;
    case EstimatorKind::Empirical:
    case EstimatorKind::Predicted:
    case EstimatorKind::Batched:
      return 1;
  }
  return 1;
}

bool needs_targets(EstimatorKind kind) {
  return kind == EstimatorKind::Empirical || kind == EstimatorKind::Batched;
}

void check_estimator(const Estimator& estimator, Likelihood likelihood, std::size_t outputs) {
  const std::string name(estimator_name(estimator.kind));
  if (estimator.kind == EstimatorKind::Predicted && likelihood == Likelihood::Gaussian)
    throw ArgumentError("estimator 'predicted' is identically zero for the gaussian likelihood");
  const bool draws = estimator.kind == EstimatorKind::MonteCarlo || estimator.kind == EstimatorKind::Sketch;
  if (draws && estimator.draws == 0)
    throw ArgumentError("estimator '" + name + "' needs at least 1 draw, not 0");
  if (estimator.kind == EstimatorKind::Batched && estimator.batch_size == 0)
    throw ArgumentError("estimator 'batched' needs a batch size of at least 1, not 0");
  if (outputs == 0) throw ArgumentError("a network needs at least 1 output");
  if (likelihood == Likelihood::Categorical && outputs < 2)
    throw ArgumentError("the categorical likelihood needs at least 2 outputs, the network has " +
                        std::to_string(outputs));
}

struct SeedBlock::State {
  Estimator estimator;
  std::size_t columns;
  std::unique_ptr<detail::OutputModel> model;
  std::unique_ptr<detail::SeedSource> source;
  mutable AlignedBuffer<float> scratch;  // [rows, C]: one column while squares are added up
  std::vector<float> weights, roots;     // of each row; empty: 1

  void write_plain_squares(MatrixView<float> squares) const;
};

SeedBlock::SeedBlock(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
                     const kernels::KernelTable& kernels, std::size_t positions) {
  check_estimator(estimator, likelihood, outputs);
  state_ = std::make_unique<State>();
  state_->estimator = estimator;
  state_->columns = seed_columns(estimator, likelihood, outputs);
  state_->model = detail::make_output_model(likelihood, outputs, kernels);
  state_->source = detail::make_seed_source(estimator, positions);
}
SeedBlock::~SeedBlock() = default;
SeedBlock::SeedBlock(SeedBlock&&) noexcept = default;

void SeedBlock::prepare(MatrixView<const float> logits, MatrixView<const float> targets,
                        std::span<const std::uint64_t> samples, std::span<const float> weights) {
  State& state = *state_;
  check_weights(weights, logits.rows, state.estimator.kind);
  check_shapes(logits, targets, samples, state.model->outputs(), state.model->target_width(),
               needs_targets(state.estimator.kind));
  check_logits(logits, samples);
  state.model->prepare(logits, samples);
  state.source->prepare(*state.model, targets, samples);
  if (state.columns > 1 && !state.source->is_exact()) detail::grow(state.scratch, logits.rows * logits.cols);
  state.weights.assign(weights.begin(), weights.end());
  state.roots.resize(weights.size());
  std::ranges::transform(weights, state.roots.begin(), [](float weight) { return std::sqrt(weight); });
}

std::size_t SeedBlock::bytes(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
                             std::size_t rows) {
  constexpr std::size_t kSignsPerWord = 32;
  const std::size_t target_width = likelihood == Likelihood::Categorical ? 1 : outputs;
  // At most three matrices of the likelihood, one column of squares, targets or modes, and two numbers per
  // row.
  std::size_t floats = rows * (4 * outputs + target_width + 2);
  if (estimator.kind == EstimatorKind::MonteCarlo) floats += rows * estimator.draws * target_width;
  if (estimator.kind == EstimatorKind::Sketch)
    floats += rows * estimator.draws * ((outputs + kSignsPerWord - 1) / kSignsPerWord);
  return aligned_bytes(floats * sizeof(float));
}

std::size_t SeedBlock::columns() const {
  return state_->columns;
}

void SeedBlock::write(std::size_t k, MatrixView<float> seeds) const {
  state_->source->write(*state_->model, k, seeds);
  scale_rows(state_->roots, seeds);
}

void SeedBlock::write_squares(MatrixView<float> squares) const {
  state_->write_plain_squares(squares);
  scale_rows(state_->weights, squares);
}

void SeedBlock::State::write_plain_squares(MatrixView<float> squares) const {
  if (source->is_exact()) return model->variances(squares);
  source->write(*model, 0, squares);
  square(squares);
  const MatrixView<float> column(scratch.data(), squares.rows, squares.cols);
  for (std::size_t k = 1; k < columns; ++k) {
    source->write(*model, k, column);
    for (std::size_t r = 0; r < squares.rows; ++r)
      for (std::size_t c = 0; c < squares.cols; ++c) squares(r, c) += column(r, c) * column(r, c);
  }
}

double nll_and_residuals(Likelihood likelihood, MatrixView<const float> logits,
                         MatrixView<const float> targets, std::span<const std::uint64_t> samples,
                         const kernels::KernelTable& kernels, MatrixView<float> residuals) {
  const std::unique_ptr<detail::OutputModel> model =
      detail::make_output_model(likelihood, logits.cols, kernels);
  check_shapes(logits, targets, samples, logits.cols, model->target_width(), true);
  check_logits(logits, samples);
  model->prepare(logits, samples);
  model->check_targets(targets, samples);
  const double nll = model->nll(logits, targets);  // first: the residuals may take the logits' place
  model->residuals(targets, 1.0f, residuals);
  return nll;
}

}  // namespace fisherdiag
