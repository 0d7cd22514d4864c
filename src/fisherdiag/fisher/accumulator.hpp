// The diagonal of any network, from what another program's backward pass gives.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/fisher/diagonal.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

/// Sums squared per-sample gradients that the caller's own framework takes part in computing: per layer the
/// pair of input and sensitivity that hooks see, or gradients themselves. Same kernels, numerics, file and
/// metadata as compute_fisher: float chains of at most 512 samples of one call, then double.
///
/// Sensitivities are d(seed . output) / d(layer's output) for one sample, never divided by the number of
/// samples: the gradient of the *sum* of the batch's losses, not of their mean. What estimator the result is
/// follows from the seeds (docs/estimators.md); for losses at the data's labels it is `empirical`.
///
/// Blocks come in any order of layers and any size, each layer's samples in order. For every layer the same
/// number of samples must have come by finish(). Not thread-safe; uses the threads of its context.
class Accumulator {
 public:
  explicit Accumulator(const Context& context);
  ~Accumulator();
  Accumulator(const Accumulator&) = delete;
  Accumulator& operator=(const Accumulator&) = delete;

  /// Declares y = W x + b with parameters NAME.weight [outputs, inputs] and, with `bias`, NAME.bias
  /// [outputs]. Returns its number. Errors: ArgumentError for a size of 0, a name that is taken, or once
  /// samples came.
  std::size_t add_linear_layer(const std::string& name, std::size_t inputs, std::size_t outputs, bool bias);
  /// Declares a parameter whose per-sample gradients the caller computes. Returns its number.
  std::size_t add_parameter(const std::string& name, const std::vector<std::size_t>& shape);

  /// Adds N samples of a linear layer: inputs [N * positions, inputs], sensitivities [N * positions,
  /// outputs], a sample's positions one after the other. With several positions (sequences, unfolded
  /// convolutions) a sample's gradient is summed over them before it is squared. Errors: ArgumentError for
  /// shapes that differ from the declared ones or among each other; DataError naming layer and sample for a
  /// value that is not finite. Nothing is added then.
  void add_linear(std::size_t layer, MatrixView<const float> inputs, MatrixView<const float> sensitivities,
                  std::size_t positions = 1);

  /// Adds one more seed to the *same* samples: inputs as in the add_linear before it. For estimators with
  /// several columns (exact, mc): the squares of each seed's gradients add up, the samples are counted once.
  void add_linear_seed(std::size_t layer, MatrixView<const float> inputs,
                       MatrixView<const float> sensitivities, std::size_t positions = 1);

  /// Adds N per-sample gradients of a parameter, [N, elements]. Errors: as add_linear.
  void add_gradients(std::size_t parameter, MatrixView<const float> gradients);

  /// Samples of the layer or parameter that has most.
  std::size_t samples() const;

  /// The diagonal: parameters in the order of their declaration. Of `metadata` everything but samples, isa
  /// and version is the caller's. Errors: DataError for no samples, layers with different numbers of them
  /// (naming one), or a sum beyond float. The accumulator goes on from where it was.
  FisherDiagonal finish(FisherMetadata metadata) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fisherdiag
