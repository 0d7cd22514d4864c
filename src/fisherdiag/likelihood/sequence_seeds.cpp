#include "fisherdiag/likelihood/sequence_seeds.hpp"

#include <algorithm>

namespace fisherdiag {

std::size_t target_width(Likelihood likelihood, std::size_t outputs, std::size_t positions) {
  return positions * (likelihood == Likelihood::Categorical ? 1 : outputs);
}

SequenceSeeds::SequenceSeeds(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
                             std::size_t positions, const kernels::KernelTable& kernels)
    : takes_targets_(needs_targets(estimator.kind)),
      has_labels_(likelihood == Likelihood::Categorical),
      positions_(positions),
      columns_(seed_columns(estimator, likelihood, outputs, positions)),
      columns_each_(seed_columns(estimator, likelihood, outputs)),
      rows_(estimator, likelihood, outputs, kernels, positions) {}

void SequenceSeeds::prepare(MatrixView<const float> logits, MatrixView<const float> targets,
                            std::span<const std::uint64_t> samples, std::span<const float> weights) {
  if (positions_ == 1) {
    rows_.prepare(logits, takes_targets_ ? targets : MatrixView<const float>(), samples, weights);
    return;
  }
  row_samples_.resize(logits.rows);
  for (std::size_t r = 0; r < logits.rows; ++r) row_samples_[r] = samples[r / positions_];
  row_weights_.resize(weights.empty() ? 0 : logits.rows);
  for (std::size_t r = 0; r < row_weights_.size(); ++r) row_weights_[r] = weights[r / positions_];
  row_targets_.resize(targets.rows * targets.cols);
  for (std::size_t n = 0; n < targets.rows; ++n)
    std::copy_n(targets.row(n), targets.cols, row_targets_.data() + n * targets.cols);
  ignored_.clear();
  if (has_labels_)
    for (float& label : row_targets_) {
      ignored_.push_back(label == kIgnoredLabel);
      if (ignored_.back()) label = 0;  // any class: its seed is not used
    }
  MatrixView<const float> row_targets;
  if (takes_targets_ && targets.rows)
    row_targets = {row_targets_.data(), targets.rows * positions_, targets.cols / positions_};
  rows_.prepare(logits, row_targets, row_samples_, row_weights_);
}

void SequenceSeeds::write(std::size_t k, MatrixView<float> seeds) const {
  rows_.write(k % columns_each_, seeds);
  if (positions_ == 1) return;
  if (columns_ > columns_each_)  // a seed for each position apart
    for (std::size_t r = 0; r < seeds.rows; ++r)
      if (r % positions_ != k / columns_each_) std::fill_n(seeds.row(r), seeds.cols, 0.f);
  leave_out_ignored(seeds);
}

void SequenceSeeds::write_squares(MatrixView<float> squares) const {
  rows_.write_squares(squares);
  if (positions_ > 1) leave_out_ignored(squares);
}

void SequenceSeeds::leave_out_ignored(MatrixView<float> rows) const {
  if (ignored_.empty()) return;
  for (std::size_t r = 0; r < rows.rows; ++r)
    if (ignored_[r]) std::fill_n(rows.row(r), rows.cols, 0.f);
}

std::size_t SequenceSeeds::bytes(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
                                 std::size_t positions, std::size_t samples) {
  const std::size_t rows = samples * positions;
  const std::size_t own = positions == 1
                              ? 0
                              : rows * (sizeof(std::uint64_t) + 2 * sizeof(float)) +
                                    samples * target_width(likelihood, outputs, positions) * sizeof(float);
  return own + SeedBlock::bytes(estimator, likelihood, outputs, rows);
}

}  // namespace fisherdiag
