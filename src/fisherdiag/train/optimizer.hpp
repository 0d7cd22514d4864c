// First-order optimisers over one flat parameter vector.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/ewc/penalty.hpp"
#include "fisherdiag/kernels/elementwise.hpp"
#include "fisherdiag/kernels/table.hpp"
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

class Optimizer;

/// One step of an optimiser that is being made, range after range, by any number of threads: every element is
/// to be in one range. Keeps references to what it was begun with.
class OptimizerStep {
 public:
  /// Moves theta's elements [begin, begin + gradient.size()) along their gradient, which is scratch
  /// afterwards.
  void apply(std::size_t begin, std::span<float> gradient) const;
  /// The whole step, in parallel.
  void apply_all(std::span<float> gradient, const Context& context) const;
  /// The arrays `apply` reads and writes, from element `begin` on: worth asking for ahead of it.
  kernels::Alongside arrays(std::size_t begin) const;

 private:
  friend class Optimizer;
  void apply_fused(std::size_t begin, std::span<const float> gradient) const;

  Optimizer* optimizer_ = nullptr;
  float* theta_ = nullptr;
  kernels::StepPenalty fused_;
  const EwcPenalty* penalty_ = nullptr;  // terms after the first are added to the gradient
  const kernels::KernelTable* kernels_ = nullptr;
  float correction1_ = 1, correction2_ = 1;  // of Adam's moments, which depend on the number of the step
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

  /// Begins a step of theta, with `penalty` if there is one, that the caller makes in ranges as their
  /// gradient becomes known. Throws as `step`.
  OptimizerStep begin(std::span<float> theta, const EwcPenalty* penalty, const Context& context);
  OptimizerStep begin(std::span<float> theta, const kernels::StepPenalty& penalty, const Context& context);

 private:
  friend class OptimizerStep;
  void require_size(const char* name, std::size_t size) const;

  OptimizerOptions options_;
  std::size_t parameters_;
  double rate_scale_ = 1;
  std::uint64_t steps_ = 0;
  AlignedBuffer<float> first_;   ///< velocity (Sgd) or first moment (Adam)
  AlignedBuffer<float> second_;  ///< Adam's second moment
};

}  // namespace fisherdiag
