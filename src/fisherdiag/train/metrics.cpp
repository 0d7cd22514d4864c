#include "fisherdiag/train/metrics.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/train/batch_gradient.hpp"
#include "fisherdiag/train/dataset_fit.hpp"

namespace fisherdiag {

namespace {

constexpr std::size_t kBlock = 512;

std::size_t count_correct(MatrixView<const float> outputs, MatrixView<const float> labels,
                          const OutputHeads& heads) {
  std::size_t correct = 0;
  for (std::size_t r = 0; r < outputs.rows; ++r) {
    const float* row = outputs.row(r);
    const auto label = static_cast<std::size_t>(labels(r, 0));
    const auto predicted = heads.empty()
                               ? static_cast<std::size_t>(std::max_element(row, row + outputs.cols) - row)
                               : heads.predict(row, label);
    if (predicted == label) ++correct;
  }
  return correct;
}

}  // namespace

Evaluation evaluate(const Network& network, Dataset& dataset, Likelihood likelihood, const Context& context,
                    const OutputHeads& heads) {
  if (!heads.empty() && likelihood != Likelihood::Categorical)
    throw ArgumentError("heads are for the categorical likelihood");
  require_fit(dataset, network.architecture(), likelihood);
  const std::size_t block = std::min(kBlock, dataset.size());
  const std::size_t features = dataset.features(), width = dataset.target_width();
  const std::size_t classes = network.architecture().outputs();
  BatchGradient engine(network.architecture(), likelihood, block, context);
  AlignedBuffer<float> inputs(block * features), targets(block * width);
  AlignedBuffer<float> outputs(block * classes), residuals(block * classes);
  std::vector<std::uint64_t> samples(block);
  const kernels::KernelTable& kernel = kernels::kernel_table(context.isa());

  double nll = 0;
  std::size_t correct = 0;
  for (std::size_t first = 0; first < dataset.size(); first += block) {
    const std::size_t rows = std::min(block, dataset.size() - first);
    const MatrixView<float> x(inputs.data(), rows, features), y(targets.data(), rows, width);
    const MatrixView<float> z(outputs.data(), rows, classes);
    dataset.read_inputs(first, x);
    dataset.read_targets(first, y);
    std::iota(samples.begin(), samples.end(), static_cast<std::uint64_t>(first));
    engine.forward(network, x, z);
    const auto names = std::span<const std::uint64_t>(samples).first(rows);
    const MatrixView<float> residual(residuals.data(), rows, classes);
    nll += heads.empty() ? nll_and_residuals(likelihood, z, y, names, kernel, residual)
                         : heads.nll_and_residuals(z, y, names, kernel, residual);
    if (likelihood == Likelihood::Categorical) correct += count_correct(z, y, heads);
  }
  Evaluation result;
  result.samples = dataset.size();
  result.nll = nll / static_cast<double>(dataset.size());
  if (likelihood == Likelihood::Categorical)
    result.accuracy = static_cast<double>(correct) / static_cast<double>(dataset.size());
  return result;
}

}  // namespace fisherdiag
