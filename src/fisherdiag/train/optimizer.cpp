#include "fisherdiag/train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "fisherdiag/base/error.hpp"

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
  require_size("gradient", gradient.size());
  const OptimizerStep step = begin(theta, penalty, context);
  for_each_chunk(parameters_, context, [&](std::size_t begin, std::size_t size) {
    step.apply_fused(begin, gradient.subspan(begin, size));
  });
}

void Optimizer::step(std::span<float> theta, std::span<float> gradient, const EwcPenalty& penalty,
                     const Context& context) {
  require_size("gradient", gradient.size());
  begin(theta, &penalty, context).apply_all(gradient, context);
}

OptimizerStep Optimizer::begin(std::span<float> theta, const EwcPenalty* penalty, const Context& context) {
  if (!penalty || penalty->terms() == 0) return begin(theta, kernels::StepPenalty{}, context);
  require_size("the penalty", penalty->anchor(0).size());
  OptimizerStep step = begin(theta,
                             kernels::StepPenalty{penalty->anchor(0).data(), penalty->fisher(0).data(),
                                                  static_cast<float>(penalty->ewc_lambda())},
                             context);
  step.penalty_ = penalty;
  return step;
}

OptimizerStep Optimizer::begin(std::span<float> theta, const kernels::StepPenalty& penalty,
                               const Context& context) {
  require_size("theta", theta.size());
  ++steps_;
  OptimizerStep step;
  step.optimizer_ = this;
  step.theta_ = theta.data();
  step.fused_ = penalty;
  step.kernels_ = &kernels::kernel_table(context.isa());
  if (options_.kind == OptimizerKind::Sgd) return step;
  // The kernel's moments are built with float betas; corrections from the double ones would be off by up to
  // 2^-25 / (1 - beta), 3e-5 for beta2 = 0.999, in the first step.
  const auto correction = [this](double beta) {
    return static_cast<float>(
        1 / (1 - std::pow(static_cast<double>(static_cast<float>(beta)), static_cast<double>(steps_))));
  };
  step.correction1_ = correction(options_.beta1);
  step.correction2_ = correction(options_.beta2);
  return step;
}

void OptimizerStep::apply_all(std::span<float> gradient, const Context& context) const {
  for_each_chunk(gradient.size(), context,
                 [&](std::size_t begin, std::size_t size) { apply(begin, gradient.subspan(begin, size)); });
}

void OptimizerStep::apply(std::size_t begin, std::span<float> gradient) const {
  for (std::size_t term = 1; penalty_ && term < penalty_->terms(); ++term)
    kernels_->penalty_gradient(theta_ + begin, penalty_->anchor(term).data() + begin,
                               penalty_->fisher(term).data() + begin, fused_.lambda, gradient.data(),
                               gradient.size());
  apply_fused(begin, gradient);
}

void OptimizerStep::apply_fused(std::size_t begin, std::span<const float> gradient) const {
  kernels::StepPenalty part = fused_;
  if (part.anchor) part.anchor += begin;
  if (part.fisher) part.fisher += begin;
  Optimizer& o = *optimizer_;
  const OptimizerOptions& options = o.options_;
  const auto rate = static_cast<float>(options.learning_rate * o.rate_scale_);
  float* first = o.first_.empty() ? nullptr : o.first_.data() + begin;
  if (options.kind == OptimizerKind::Sgd) {
    kernels_->sgd_step({theta_ + begin, gradient.data(), first, gradient.size(), rate,
                        static_cast<float>(options.momentum), part});
    return;
  }
  kernels_->adam_step({theta_ + begin, gradient.data(), first, o.second_.data() + begin, gradient.size(),
                       rate, static_cast<float>(options.beta1), static_cast<float>(options.beta2),
                       static_cast<float>(options.epsilon), correction1_, correction2_, part});
}

kernels::Alongside OptimizerStep::arrays(std::size_t begin) const {
  kernels::Alongside arrays;
  for (const float* array : {static_cast<const float*>(theta_), fused_.anchor, fused_.fisher,
                             static_cast<const float*>(optimizer_->first_.data()),
                             static_cast<const float*>(optimizer_->second_.data())})
    if (array) arrays.arrays[arrays.count++] = array + begin;
  return arrays;
}

void Optimizer::set_rate_scale(double scale) {
  require(scale >= 0 && std::isfinite(scale), "rate scale", "finite and >= 0", scale);
  rate_scale_ = scale;
}

void Optimizer::require_size(const char* name, std::size_t size) const {
  if (size != parameters_)
    throw ArgumentError(std::string(name) + " has " + std::to_string(size) + " values and the optimiser " +
                        std::to_string(parameters_));
}

}  // namespace fisherdiag
