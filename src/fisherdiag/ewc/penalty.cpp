#include "fisherdiag/ewc/penalty.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/kernels/table.hpp"

namespace fisherdiag {

namespace {

// Elements per task: theta and gradient of one task stay in a core's own cache while it visits every term.
// Fixed, so that the order of the sum does not depend on the number of threads.
constexpr std::size_t kChunk = 16384;

struct Range {
  std::size_t begin;
  std::size_t size;
};

std::size_t chunk_count(std::size_t n) {
  return (n + kChunk - 1) / kChunk;
}

Range chunk_range(std::size_t chunk, std::size_t n) {
  const std::size_t begin = chunk * kChunk;
  return {begin, std::min(kChunk, n - begin)};
}

void require_size(const char* what, std::size_t size, std::size_t expected) {
  if (size != expected)
    throw ArgumentError(std::string(what) + " has " + std::to_string(size) +
                        " values where the penalty has " + std::to_string(expected) + " parameters");
}

void require_usable(std::span<const float> anchor, std::span<const float> fisher) {
  for (std::size_t i = 0; i < anchor.size(); ++i) {
    if (!std::isfinite(anchor[i]))
      throw DataError("the anchor of parameter " + std::to_string(i) + " is not finite");
    if (!std::isfinite(fisher[i]))
      throw DataError("the Fisher value of parameter " + std::to_string(i) + " is not finite");
    if (fisher[i] < 0)
      throw DataError("the Fisher value of parameter " + std::to_string(i) +
                      " is negative: " + std::to_string(fisher[i]));
  }
}

float checked_sum(double fisher, std::size_t parameter) {
  const auto sum = static_cast<float>(fisher);
  if (!std::isfinite(sum))
    throw DataError("the accumulated Fisher value of parameter " + std::to_string(parameter) +
                    " is too large for a float");
  return sum;
}

}  // namespace

EwcPenalty::EwcPenalty(PenaltyForm form, double ewc_lambda, double decay_factor)
    : form_(form), lambda_(ewc_lambda), decay_(decay_factor) {
  // The kernels take lambda as a float.
  if (!(ewc_lambda >= 0 && ewc_lambda <= static_cast<double>(std::numeric_limits<float>::max())))
    throw ArgumentError("ewc_lambda must be a finite number >= 0, not " + std::to_string(ewc_lambda));
  if (!(decay_factor > 0 && decay_factor <= 1))
    throw ArgumentError("decay_factor must be in (0, 1], not " + std::to_string(decay_factor));
}

void EwcPenalty::add_task(std::span<const float> anchor, std::span<const float> fisher) {
  if (anchor.size() != fisher.size())
    throw ArgumentError("the anchor has " + std::to_string(anchor.size()) +
                        " values and its Fisher diagonal " + std::to_string(fisher.size()));
  if (!terms_.empty()) require_size("the task's anchor", anchor.size(), terms_.front().anchor.size());
  require_usable(anchor, fisher);
  if (form_ == PenaltyForm::Separate || terms_.empty())
    add_separate(anchor, fisher);
  else if (form_ == PenaltyForm::Merged)
    add_merged(anchor, fisher);
  else
    add_online(anchor, fisher);
  ++tasks_;
}

void EwcPenalty::add_separate(std::span<const float> anchor, std::span<const float> fisher) {
  Term term{AlignedBuffer<float>(anchor.size()), AlignedBuffer<float>(fisher.size())};
  std::copy(anchor.begin(), anchor.end(), term.anchor.begin());
  std::copy(fisher.begin(), fisher.end(), term.fisher.begin());
  terms_.push_back(std::move(term));
}

void EwcPenalty::add_merged(std::span<const float> anchor, std::span<const float> fisher) {
  Term& old = terms_.front();
  Term merged{AlignedBuffer<float>(anchor.size()), AlignedBuffer<float>(fisher.size())};
  double constant = constant_;
  for (std::size_t i = 0; i < anchor.size(); ++i) {
    const double f_old = old.fisher[i], f_new = fisher[i];
    const double f = f_old + f_new;
    // Where no task says anything, any anchor will do.
    const double share = f > 0 ? f_new / f : 1;
    const double distance = static_cast<double>(anchor[i]) - static_cast<double>(old.anchor[i]);
    merged.fisher[i] = checked_sum(f, i);
    merged.anchor[i] = static_cast<float>(static_cast<double>(old.anchor[i]) + share * distance);
    // Equal to f_old theta_old^2 + f_new theta_new^2 - f theta_m^2, without its cancellation.
    constant += f_old * share * distance * distance;
  }
  old = std::move(merged);
  constant_ = constant;
}

void EwcPenalty::add_online(std::span<const float> anchor, std::span<const float> fisher) {
  Term& old = terms_.front();
  Term next{AlignedBuffer<float>(anchor.size()), AlignedBuffer<float>(fisher.size())};
  for (std::size_t i = 0; i < anchor.size(); ++i) {
    next.fisher[i] =
        checked_sum(decay_ * static_cast<double>(old.fisher[i]) + static_cast<double>(fisher[i]), i);
    next.anchor[i] = anchor[i];
  }
  old = std::move(next);
}

double EwcPenalty::value(std::span<const float> theta, const Context& context) const {
  if (terms_.empty()) return 0;
  require_size("theta", theta.size(), terms_.front().anchor.size());
  const kernels::KernelTable& kernel = kernels::kernel_table(context.isa());
  std::vector<double> parts(chunk_count(theta.size()));
  context.parallel_for(parts.size(), [&](std::size_t chunk, std::size_t) {
    const Range range = chunk_range(chunk, theta.size());
    double part = 0;
    for (const Term& term : terms_)
      part += kernel.penalty_value(theta.data() + range.begin, term.anchor.data() + range.begin,
                                   term.fisher.data() + range.begin, range.size);
    parts[chunk] = part;
  });
  double sum = constant_;
  for (const double part : parts) sum += part;
  return 0.5 * lambda_ * sum;
}

void EwcPenalty::add_gradient(std::span<const float> theta, std::span<float> gradient,
                              const Context& context) const {
  if (terms_.empty()) return;
  require_size("theta", theta.size(), terms_.front().anchor.size());
  require_size("gradient", gradient.size(), theta.size());
  const kernels::KernelTable& kernel = kernels::kernel_table(context.isa());
  const auto lambda = static_cast<float>(lambda_);
  context.parallel_for(chunk_count(theta.size()), [&](std::size_t chunk, std::size_t) {
    const Range range = chunk_range(chunk, theta.size());
    for (const Term& term : terms_)
      kernel.penalty_gradient(theta.data() + range.begin, term.anchor.data() + range.begin,
                              term.fisher.data() + range.begin, lambda, gradient.data() + range.begin,
                              range.size);
  });
}

double EwcPenalty::value_and_add_gradient(std::span<const float> theta, std::span<float> gradient,
                                          const Context& context) const {
  if (terms_.empty()) return 0;
  require_size("theta", theta.size(), terms_.front().anchor.size());
  require_size("gradient", gradient.size(), theta.size());
  const kernels::KernelTable& kernel = kernels::kernel_table(context.isa());
  const auto lambda = static_cast<float>(lambda_);
  std::vector<double> parts(chunk_count(theta.size()));
  context.parallel_for(parts.size(), [&](std::size_t chunk, std::size_t) {
    const Range range = chunk_range(chunk, theta.size());
    double part = 0;
    for (const Term& term : terms_)
      part += kernel.penalty_value_gradient(theta.data() + range.begin, term.anchor.data() + range.begin,
                                            term.fisher.data() + range.begin, lambda,
                                            gradient.data() + range.begin, range.size);
    parts[chunk] = part;
  });
  double sum = constant_;
  for (const double part : parts) sum += part;
  return 0.5 * lambda_ * sum;
}

}  // namespace fisherdiag
