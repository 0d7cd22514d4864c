// One network whose outputs are shared out among tasks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/network.hpp"

namespace fisherdiag {

/// A partition of a classifier's outputs into heads. The class of a sample tells its head, and only the
/// outputs of that head enter its softmax (task-incremental learning: which task a sample belongs to is
/// known).
class OutputHeads {
 public:
  /// No partition: all outputs are one head.
  OutputHeads() = default;
  /// Throws ArgumentError unless every output in [0, outputs) is in exactly one of `heads` and each head has
  /// at least two.
  OutputHeads(const std::vector<std::vector<std::size_t>>& heads, std::size_t outputs);

  bool empty() const { return heads_.empty(); }
  std::size_t size() const { return heads_.size(); }
  const std::vector<std::size_t>& outputs(std::size_t head) const { return heads_[head]; }
  std::size_t head_of(std::size_t output) const { return head_of_[output]; }
  std::size_t position_of(std::size_t output) const { return position_[output]; }

  /// nll_and_residuals (likelihood/seeds.hpp) of the categorical likelihood with each row's softmax over the
  /// outputs of its label's head; residuals of all other outputs are 0. Same arguments, result and errors.
  double nll_and_residuals(MatrixView<const float> logits, MatrixView<const float> labels,
                           std::span<const std::uint64_t> samples, const kernels::KernelTable& kernels,
                           MatrixView<float> residuals) const;

  /// The largest output of row `logits` among those of the label's head; the lowest of equals.
  std::size_t predict(const float* logits, std::size_t label) const;

 private:
  std::vector<std::vector<std::size_t>> heads_;
  std::vector<std::size_t> head_of_;   // of each output
  std::vector<std::size_t> position_;  // of each output within its head
};

/// The same network with only `outputs` of its last layer, in that order. What the Fisher diagonal of a head
/// is computed with: outputs that do not enter the softmax have F = 0 and change nothing else. Throws
/// UnsupportedError for a graph whose last layer is not linear or shares its tensors.
Network restrict_outputs(const Network& network, const std::vector<std::size_t>& outputs);

/// The reverse for one value per parameter: `restricted` of restrict_outputs(network, outputs) into `values`
/// of the whole, 0 for the parameters of outputs that were left out.
void spread_outputs(const Architecture& architecture, const std::vector<std::size_t>& outputs,
                    std::span<const float> restricted, std::span<float> values);

}  // namespace fisherdiag
