#include "fisherdiag/train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/kernels/table.hpp"

namespace fisherdiag {

namespace {

// Elements per task: enough work to be worth a task, few enough to balance small models.
constexpr std::size_t kChunk = 16384;

void require(bool condition, const char* name, const char* range, double value) {
  if (!condition)
    throw ArgumentError(std::string(name) + " must be " + range + ", not " + std::to_string(value));
}

bool below_one(double value) {
  return value >= 0 && value < 1;
}

template <class Body>
void for_each_chunk(std::size_t n, const Context& context, const Body& body) {
  context.parallel_for((n + kChunk - 1) / kChunk, [&](std::size_t chunk, std::size_t) {
    const std::size_t begin = chunk * kChunk;
    body(begin, std::min(kChunk, n - begin));
  });
}

}  // namespace

// What depends on the number of the step: Adam's bias corrections.
struct Optimizer::StepScale {
  float correction1 = 1;
  float correction2 = 1;
};

Optimizer::Optimizer(const OptimizerOptions& options, std::size_t parameters)
    : options_(options), parameters_(parameters) {
  require(options.learning_rate > 0 && std::isfinite(options.learning_rate), "learning_rate",
          "finite and > 0", options.learning_rate);
  if (options.kind == OptimizerKind::Sgd) {
    require(below_one(options.momentum), "momentum", "in [0, 1)", options.momentum);
    if (options.momentum > 0) first_ = AlignedBuffer<float>(parameters);
    return;
  }
  require(below_one(options.beta1), "beta1", "in [0, 1)", options.beta1);
  require(below_one(options.beta2), "beta2", "in [0, 1)", options.beta2);
  require(options.epsilon > 0 && std::isfinite(options.epsilon), "epsilon", "finite and > 0",
          options.epsilon);
  first_ = AlignedBuffer<float>(parameters);
  second_ = AlignedBuffer<float>(parameters);
}

void Optimizer::step(std::span<float> theta, std::span<const float> gradient, const Context& context) {
  step(theta, gradient, kernels::StepPenalty{}, context);
}

void Optimizer::step(std::span<float> theta, std::span<const float> gradient,
                     const kernels::StepPenalty& penalty, const Context& context) {
  require_sizes(theta.size(), gradient.size());
  const StepScale scale = begin_step();
  for_each_chunk(parameters_, context, [&](std::size_t begin, std::size_t size) {
    step_range(theta.data(), gradient.data(), begin, size, penalty, scale, context);
  });
}

void Optimizer::step(std::span<float> theta, std::span<float> gradient, const EwcPenalty& penalty,
                     const Context& context) {
  if (penalty.terms() == 0) return step(theta, gradient, context);
  require_sizes(theta.size(), gradient.size());
  if (penalty.anchor(0).size() != parameters_)
    throw ArgumentError("the penalty has " + std::to_string(penalty.anchor(0).size()) +
                        " parameters and the optimiser " + std::to_string(parameters_));
  const auto lambda = static_cast<float>(penalty.ewc_lambda());
  const kernels::StepPenalty fused{penalty.anchor(0).data(), penalty.fisher(0).data(), lambda};
  const kernels::KernelTable& kernel = kernels::kernel_table(context.isa());
  const StepScale scale = begin_step();
  for_each_chunk(parameters_, context, [&](std::size_t begin, std::size_t size) {
    for (std::size_t term = 1; term < penalty.terms(); ++term)
      kernel.penalty_gradient(theta.data() + begin, penalty.anchor(term).data() + begin,
                              penalty.fisher(term).data() + begin, lambda, gradient.data() + begin, size);
    step_range(theta.data(), gradient.data(), begin, size, fused, scale, context);
  });
}

Optimizer::StepScale Optimizer::begin_step() {
  ++steps_;
  if (options_.kind == OptimizerKind::Sgd) return {};
  // The kernel's moments are built with float betas; corrections from the double ones would be off by up to
  // 2^-25 / (1 - beta), 3e-5 for beta2 = 0.999, in the first step.
  const auto correction = [this](double beta) {
    return static_cast<float>(
        1 / (1 - std::pow(static_cast<double>(static_cast<float>(beta)), static_cast<double>(steps_))));
  };
  return {correction(options_.beta1), correction(options_.beta2)};
}

void Optimizer::set_rate_scale(double scale) {
  require(scale >= 0 && std::isfinite(scale), "rate scale", "finite and >= 0", scale);
  rate_scale_ = scale;
}

void Optimizer::step_range(float* theta, const float* gradient, std::size_t begin, std::size_t size,
                           const kernels::StepPenalty& penalty, const StepScale& scale,
                           const Context& context) {
  kernels::StepPenalty part = penalty;
  if (part.anchor) part.anchor += begin;
  if (part.fisher) part.fisher += begin;
  const kernels::KernelTable& kernel = kernels::kernel_table(context.isa());
  const auto rate = static_cast<float>(options_.learning_rate * rate_scale_);
  float* first = first_.empty() ? nullptr : first_.data() + begin;
  if (options_.kind == OptimizerKind::Sgd) {
    kernel.sgd_step(
        {theta + begin, gradient + begin, first, size, rate, static_cast<float>(options_.momentum), part});
    return;
  }
  kernel.adam_step({theta + begin, gradient + begin, first, second_.data() + begin, size, rate,
                    static_cast<float>(options_.beta1), static_cast<float>(options_.beta2),
                    static_cast<float>(options_.epsilon), scale.correction1, scale.correction2, part});
}

void Optimizer::require_sizes(std::size_t theta, std::size_t gradient) const {
  if (theta != parameters_ || gradient != parameters_)
    throw ArgumentError("theta has " + std::to_string(theta) + " values, gradient " +
                        std::to_string(gradient) + " and the optimiser " + std::to_string(parameters_));
}

}  // namespace fisherdiag
