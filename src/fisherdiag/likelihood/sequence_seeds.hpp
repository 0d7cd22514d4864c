// Seeds of networks with an output at each position of a sequence (docs/estimators.md, "Sequences").
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

/// Values of a sample's targets: one label or C values for each position.
std::size_t target_width(Likelihood likelihood, std::size_t outputs, std::size_t positions);

/// A label of this value says that its position is no part of the likelihood, as in PyTorch's losses.
inline constexpr float kIgnoredLabel = -100;

/// SeedBlock for samples of T positions, the seeds of a sample being [T, C]; with T = 1 it is a SeedBlock.
/// Labels at different positions are independent given the inputs.
class SequenceSeeds {
 public:
  SequenceSeeds(const Estimator& estimator, Likelihood likelihood, std::size_t outputs, std::size_t positions,
                const kernels::KernelTable& kernels);

  /// logits [n T, C]; targets [n, target_width()], or no rows; samples, weights: n or none. Targets that the
  /// estimator does not need only say which positions to leave out. Errors: as SeedBlock::prepare.
  void prepare(MatrixView<const float> logits, MatrixView<const float> targets,
               std::span<const std::uint64_t> samples, std::span<const float> weights = {});

  std::size_t columns() const { return columns_; }
  /// seeds [n T, C]: zero where a position is left out, or is not the one the k-th seed is of.
  void write(std::size_t k, MatrixView<float> seeds) const;
  /// The sum over all seeds of their squares [n T, C].
  void write_squares(MatrixView<float> squares) const;

  /// Bytes a block of `samples` samples takes.
  static std::size_t bytes(const Estimator& estimator, Likelihood likelihood, std::size_t outputs,
                           std::size_t positions, std::size_t samples);

 private:
  void leave_out_ignored(MatrixView<float> rows) const;

  bool takes_targets_, has_labels_;
  std::size_t positions_, columns_, columns_each_;
  SeedBlock rows_;
  std::vector<std::uint64_t> row_samples_;
  std::vector<float> row_weights_, row_targets_;
  std::vector<bool> ignored_;  // of each row; empty: none
};

}  // namespace fisherdiag
