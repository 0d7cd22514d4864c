// Mean loss of a mini-batch and its gradient.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"
#include "fisherdiag/train/optimizer.hpp"
#include "fisherdiag/train/output_heads.hpp"

namespace fisherdiag {

class GraphGradient;

/// Workspace for gradients of batches of up to `max_batch` samples. Keeps references to context. `heads`:
/// which outputs enter the softmax of which class; for the categorical likelihood only, ArgumentError else,
/// and for one output per sample, UnsupportedError else.
class BatchGradient {
 public:
  BatchGradient(const Architecture& architecture, Likelihood likelihood, std::size_t max_batch,
                const Context& context, OutputHeads heads = {});
  ~BatchGradient();
  BatchGradient(BatchGradient&&) noexcept;

  /// Returns the mean nll over the batch (nats) and overwrites `gradient` [P] with its gradient. The nll of a
  /// sample is the sum over the network's positions, those whose label is kIgnoredLabel left out.
  /// inputs [n, inputs()], targets [n, target_width()] (categorical: class indices); 1 <= n <= max_batch.
  /// Throws DataError for a label outside the classes, NonFiniteError where outputs or the loss are not
  /// finite.
  double compute(const Network& network, MatrixView<const float> inputs, MatrixView<const float> targets,
                 std::span<float> gradient);

  /// The same gradient, and along it the step `begin` returns, which must be one of this network's
  /// parameters: called once the loss is known to be finite. A piece of the gradient is used while it is in
  /// the cache and the whole is never written; what the step needs beside it is asked for while its products
  /// are summed. Same bits as `compute` followed by Optimizer::step; where this throws, the parameters are as
  /// before. Returns what `compute` returns; adds the seconds threads spent moving parameters, over their
  /// number, to `step_seconds`.
  double step(const Network& network, MatrixView<const float> inputs, MatrixView<const float> targets,
              const std::function<OptimizerStep()>& begin, double& step_seconds);

  /// What errors call the rows of batches from now on, instead of 0, 1, ...; at most max_batch of them.
  void name_rows(std::span<const std::uint64_t> samples);

  /// Network outputs z [n positions(), outputs()] for inputs [n, inputs()]; 1 <= n <= max_batch.
  void forward(const Network& network, MatrixView<const float> inputs, MatrixView<float> outputs);

 private:
  double step_graph(const Network& network, MatrixView<const float> inputs, MatrixView<const float> targets,
                    const std::function<OptimizerStep()>& begin, double& step_seconds);

  struct State;
  std::unique_ptr<State> state_;          // of a chain
  std::unique_ptr<GraphGradient> graph_;  // of a graph
  AlignedBuffer<float> graph_gradient_;   // [P], for steps of a graph
};

}  // namespace fisherdiag
