// First-order optimisers over one flat parameter vector.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/ewc/penalty.hpp"
#include "fisherdiag/kernels/elementwise.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

enum class OptimizerKind {
  Sgd,   ///< gradient descent, with PyTorch's momentum where momentum > 0
  Adam,  ///< Kingma and Ba 2015, algorithm 1
};

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::Adam;
  double learning_rate = 1e-3;
  double momentum = 0;  ///< Sgd only
  double beta1 = 0.9;   ///< Adam only, as the next two
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// An optimiser with its state. Elements are independent, so the same steps give the same bits for every
/// number of threads.
class Optimizer {
 public:
  /// Throws ArgumentError unless learning_rate > 0, momentum, beta1 and beta2 in [0, 1), epsilon > 0, all
  /// finite.
  Optimizer(const OptimizerOptions& options, std::size_t parameters);

  const OptimizerOptions& options() const { return options_; }
  std::size_t parameters() const { return parameters_; }
  /// Steps from now on use learning_rate * scale; throws ArgumentError unless scale is finite and >= 0.
  void set_rate_scale(double scale);
  /// Steps made so far.
  std::uint64_t steps() const { return steps_; }

  /// One step of theta along `gradient` [P] of the loss to be minimised.
  /// Throws ArgumentError if a size is not parameters().
  void step(std::span<float> theta, std::span<const float> gradient, const Context& context);

  /// The same with a quadratic penalty, whose gradient joins the step without being written: 8 more bytes of
  /// memory traffic per parameter (4 for L2). The penalty's arrays have parameters() values.
  void step(std::span<float> theta, std::span<const float> gradient, const kernels::StepPenalty& penalty,
            const Context& context);

  /// The same with any EWC penalty. Terms after the first are added to `gradient`, so it is scratch
  /// afterwards.
  void step(std::span<float> theta, std::span<float> gradient, const EwcPenalty& penalty,
            const Context& context);

 private:
  struct StepScale;
  StepScale begin_step();
  void step_range(float* theta, const float* gradient, std::size_t begin, std::size_t size,
                  const kernels::StepPenalty& penalty, const StepScale& scale, const Context& context);
  void require_sizes(std::size_t theta, std::size_t gradient) const;

  OptimizerOptions options_;
  std::size_t parameters_;
  double rate_scale_ = 1;
  std::uint64_t steps_ = 0;
  AlignedBuffer<float> first_;   ///< velocity (Sgd) or first moment (Adam)
  AlignedBuffer<float> second_;  ///< Adam's second moment
};

}  // namespace fisherdiag
