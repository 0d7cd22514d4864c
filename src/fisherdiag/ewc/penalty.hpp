// The elastic weight consolidation penalty, in all its forms.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

/// How several tasks are combined (Kirkpatrick et al. 2017; Huszar 2018; Schwarz et al. 2018).
enum class PenaltyForm {
  Separate,  ///< one anchor and one F per task: O(tasks * P)
  Merged,    ///< the same sum of quadratics as one: O(P), equal to Separate up to rounding
  Online,    ///< F <- gamma F_old + F_new, anchor = latest theta*: O(P)
};

/// lambda/2 * sum_i F_i (theta_i - theta*_i)^2 over one or more tasks.
///
/// Merged:  sum_k F_k (theta - theta_k)^2 = Fm (theta - theta_m)^2 + const, Fm = sum F_k, theta_m = sum F_k
/// theta_k / Fm. Online:  the penalty uses the accumulated F as it stands after the last add_task, without a
/// further gamma.
class EwcPenalty {
 public:
  /// Throws ArgumentError unless ewc_lambda >= 0 and finite and decay_factor in (0, 1].
  EwcPenalty(PenaltyForm form, double ewc_lambda, double decay_factor = 1.0);

  /// Adds a finished task: its solution theta* and the Fisher diagonal there. Throws ArgumentError on a size
  /// that differs from earlier tasks, DataError on a value that is not finite or a negative F.
  void add_task(std::span<const float> anchor, std::span<const float> fisher);

  PenaltyForm form() const { return form_; }
  double ewc_lambda() const { return lambda_; }
  /// Tasks added so far.
  std::size_t tasks() const { return tasks_; }
  /// Quadratic terms held: tasks() for Separate, at most 1 otherwise.
  std::size_t terms() const { return terms_.size(); }
  std::span<const float> anchor(std::size_t term) const { return terms_[term].anchor; }
  std::span<const float> fisher(std::size_t term) const { return terms_[term].fisher; }

  /// The penalty at theta, in nats. The sum has a fixed order: same bits for every number of threads.
  double value(std::span<const float> theta, const Context& context) const;
  /// gradient += lambda * sum_k F_k (theta - theta_k).
  void add_gradient(std::span<const float> theta, std::span<float> gradient, const Context& context) const;
  /// Both in one sweep; returns the value.
  double value_and_add_gradient(std::span<const float> theta, std::span<float> gradient,
                                const Context& context) const;

 private:
  struct Term {
    AlignedBuffer<float> anchor;
    AlignedBuffer<float> fisher;
  };
  void add_separate(std::span<const float> anchor, std::span<const float> fisher);
  void add_merged(std::span<const float> anchor, std::span<const float> fisher);
  void add_online(std::span<const float> anchor, std::span<const float> fisher);

  PenaltyForm form_;
  double lambda_;
  double decay_;
  double constant_ = 0;  ///< Merged: sum F_k theta_k^2 - Fm theta_m^2
  std::size_t tasks_ = 0;
  std::vector<Term> terms_;
};

}  // namespace fisherdiag
