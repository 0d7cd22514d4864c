// Mean loss of a mini-batch and its gradient.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"
#include "fisherdiag/train/output_heads.hpp"

namespace fisherdiag {

class GraphGradient;

/// Workspace for gradients of batches of up to `max_batch` samples. Keeps references to context. `heads`:
/// which outputs enter the softmax of which class; for the categorical likelihood only, ArgumentError else.
class BatchGradient {
 public:
  BatchGradient(const Architecture& architecture, Likelihood likelihood, std::size_t max_batch,
                const Context& context, OutputHeads heads = {});
  ~BatchGradient();
  BatchGradient(BatchGradient&&) noexcept;

  /// Returns the mean nll over the batch (nats) and overwrites `gradient` [P] with its gradient.
  /// inputs [n, inputs()], targets [n, 1] (categorical: class indices) or [n, outputs()]; 1 <= n <=
  /// max_batch. Throws DataError for a label outside the classes or a loss that is not finite.
  double compute(const Network& network, MatrixView<const float> inputs, MatrixView<const float> targets,
                 std::span<float> gradient);

  /// Network outputs z [n, outputs()] for inputs [n, inputs()]; 1 <= n <= max_batch.
  void forward(const Network& network, MatrixView<const float> inputs, MatrixView<float> outputs);

 private:
  struct State;
  std::unique_ptr<State> state_;          // of a chain
  std::unique_ptr<GraphGradient> graph_;  // of a graph
};

}  // namespace fisherdiag
