#include "fisherdiag/likelihood/sequence_loss.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace {

/// The rows of positions whose label counts, side by side, and what goes with them.
struct CountedRows {
  CountedRows(MatrixView<const float> targets, std::span<const std::uint64_t> names) {
    for (std::size_t n = 0; n < targets.rows; ++n)
      for (std::size_t t = 0; t < targets.cols; ++t) {
        if (targets(n, t) == kIgnoredLabel) continue;
        rows.push_back(n * targets.cols + t);
        samples.push_back(names[n]);
        labels.push_back(targets(n, t));
      }
  }

  std::vector<std::size_t> rows;
  std::vector<std::uint64_t> samples;
  std::vector<float> labels;
};

/// The residuals' own rows hold the logits that count, then their residuals, then everything in its place.
double labels_nll(MatrixView<const float> logits, const CountedRows& counted,
                  const kernels::KernelTable& kernels, MatrixView<float> residuals) {
  const std::size_t count = counted.rows.size();
  for (std::size_t r = 0; r < count; ++r)
    std::copy_n(logits.row(counted.rows[r]), logits.cols, residuals.row(r));
  const MatrixView<float> packed{residuals.data, count, residuals.cols, residuals.stride};
  const double nll =
      count == 0 ? 0
                 : nll_and_residuals(Likelihood::Categorical, packed, {counted.labels.data(), count, 1},
                                     counted.samples, kernels, packed);
  std::size_t next = count;
  for (std::size_t r = residuals.rows; r-- > 0;) {
    if (next > 0 && counted.rows[next - 1] == r) {
      --next;
      if (next != r) std::copy_n(residuals.row(next), residuals.cols, residuals.row(r));
    } else {
      std::fill_n(residuals.row(r), residuals.cols, 0.0f);
    }
  }
  return nll;
}

}  // namespace

double sequence_nll_and_residuals(Likelihood likelihood, MatrixView<const float> logits,
                                  MatrixView<const float> targets, std::span<const std::uint64_t> samples,
                                  const kernels::KernelTable& kernels, MatrixView<float> residuals) {
  const std::size_t positions = samples.empty() ? 1 : logits.rows / samples.size();
  if (positions == 1) return nll_and_residuals(likelihood, logits, targets, samples, kernels, residuals);
  const std::size_t width = target_width(likelihood, logits.cols, positions);
  if (targets.rows != samples.size() || targets.cols != width)
    throw ArgumentError("targets are " + std::to_string(targets.rows) + " x " + std::to_string(targets.cols) +
                        ", needed are " + std::to_string(samples.size()) + " x " + std::to_string(width));
  if (likelihood == Likelihood::Categorical)
    return labels_nll(logits, CountedRows(targets, samples), kernels, residuals);
  std::vector<std::uint64_t> row_samples(logits.rows);
  for (std::size_t r = 0; r < logits.rows; ++r) row_samples[r] = samples[r / positions];
  std::vector<float> values(targets.rows * targets.cols);
  for (std::size_t n = 0; n < targets.rows; ++n)
    std::copy_n(targets.row(n), targets.cols, values.data() + n * targets.cols);
  return nll_and_residuals(likelihood, logits, {values.data(), logits.rows, targets.cols / positions},
                           row_samples, kernels, residuals);
}

}  // namespace fisherdiag
