#include "fisherdiag/train/metrics.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/sequence_loss.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"
#include "fisherdiag/train/batch_gradient.hpp"
#include "fisherdiag/train/dataset_fit.hpp"

namespace fisherdiag {

namespace {

constexpr std::size_t kMostBlock = 512;
/// Outputs of a block: of large vocabularies at many positions fewer samples.
constexpr std::size_t kBlockOutputs = std::size_t{1} << 23;

std::size_t block_samples(const Architecture& architecture, std::size_t samples) {
  const std::size_t outputs = architecture.outputs() * architecture.positions();
  return std::min(samples, std::clamp<std::size_t>(kBlockOutputs / outputs, 1, kMostBlock));
}

struct Counts {
  std::size_t labels = 0, correct = 0;
};

/// Labels [n, positions] of classes that exist, or kIgnoredLabel, of outputs [n positions, classes].
void count_labels(MatrixView<const float> outputs, MatrixView<const float> labels, const OutputHeads& heads,
                  Counts& counts) {
  for (std::size_t r = 0; r < outputs.rows; ++r) {
    const float target = labels(r / labels.cols, r % labels.cols);
    if (target == kIgnoredLabel) continue;
    const float* row = outputs.row(r);
    const auto label = static_cast<std::size_t>(target);
    const auto predicted = heads.empty()
                               ? static_cast<std::size_t>(std::max_element(row, row + outputs.cols) - row)
                               : heads.predict(row, label);
    ++counts.labels;
    if (predicted == label) ++counts.correct;
  }
}

void add_accuracy(Evaluation& result, const Counts& counts, const std::string& name) {
  if (counts.labels == 0) throw DataError(name + ": all labels are -100, so that none counts");
  result.targets = counts.labels;
  result.accuracy = static_cast<double>(counts.correct) / static_cast<double>(counts.labels);
}

}  // namespace

Evaluation evaluate(const Network& network, Dataset& dataset, Likelihood likelihood, const Context& context,
                    const OutputHeads& heads) {
  if (!heads.empty() && likelihood != Likelihood::Categorical)
    throw ArgumentError("heads are for the categorical likelihood");
  require_fit(dataset, network.architecture(), likelihood);
  const std::size_t block = block_samples(network.architecture(), dataset.size());
  const std::size_t positions = network.architecture().positions();
  const std::size_t features = dataset.features(), width = dataset.target_width();
  const std::size_t classes = network.architecture().outputs();
  BatchGradient engine(network.architecture(), likelihood, block, context);
  AlignedBuffer<float> inputs(block * features), targets(block * width);
  AlignedBuffer<float> outputs(block * positions * classes), residuals(block * positions * classes);
  std::vector<std::uint64_t> samples(block);
  const kernels::KernelTable& kernel = kernels::kernel_table(context.isa());

  double nll = 0;
  Counts counts;
  for (std::size_t first = 0; first < dataset.size(); first += block) {
    const std::size_t rows = std::min(block, dataset.size() - first);
    const MatrixView<float> x(inputs.data(), rows, features), y(targets.data(), rows, width);
    const MatrixView<float> z(outputs.data(), rows * positions, classes);
    dataset.read_inputs(first, x);
    dataset.read_targets(first, y);
    std::iota(samples.begin(), samples.end(), static_cast<std::uint64_t>(first));
    engine.forward(network, x, z);
    const auto names = std::span<const std::uint64_t>(samples).first(rows);
    const MatrixView<float> residual(residuals.data(), rows * positions, classes);
    nll += heads.empty() ? sequence_nll_and_residuals(likelihood, z, y, names, kernel, residual)
                         : heads.nll_and_residuals(z, y, names, kernel, residual);
    if (likelihood == Likelihood::Categorical) count_labels(z, y, heads, counts);
  }
  Evaluation result;
  result.samples = dataset.size();
  result.targets = dataset.size() * positions;
  result.nll = nll / static_cast<double>(dataset.size());
  if (likelihood == Likelihood::Categorical) add_accuracy(result, counts, dataset.name());
  return result;
}

}  // namespace fisherdiag
