// Ways to learn one task after another, by name.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "fisherdiag/ewc/penalty.hpp"
#include "fisherdiag/likelihood/estimator.hpp"

namespace fisherdiag {

enum class ContinualKind {
  None,         ///< each task after the other, nothing done against forgetting: the lower bound
  Joint,        ///< at every task, trains on the data of all tasks so far: the upper bound
  L2,           ///< ewc-online with F = 1 for every parameter
  EwcSeparate,  ///< a penalty for each task (PenaltyForm::Separate)
  EwcMerged,    ///< the same as one (PenaltyForm::Merged)
  EwcOnline,    ///< one, around the latest solution (PenaltyForm::Online)
};

/// Which Fisher diagonal, over how many samples of a task.
struct FisherChoice {
  EstimatorKind kind = EstimatorKind::Exact;
  std::size_t draws = 1;              ///< of mc and sketch
  std::size_t batch_size = 128;       ///< of batched
  std::optional<std::size_t> subset;  ///< samples, chosen uniformly; empty: all

  /// `ESTIMATOR[=NUMBER][@SAMPLES]`: "exact", "exact@500", "mc=4" (draws), "batched=64" (batch size). Throws
  /// ArgumentError.
  static FisherChoice parse(const std::string& text);
  /// What parse() reads back; defaults are left out.
  std::string name() const;
};

struct ContinualMethod {
  ContinualKind kind = ContinualKind::None;
  FisherChoice fisher;  ///< of the EWC kinds

  /// `none`, `joint`, `l2`, `ewc-separate[:FISHER]`, `ewc-merged[:FISHER]`, `ewc-online[:FISHER]`; FISHER as
  /// FisherChoice::parse reads it, "exact" if it is missing. Throws ArgumentError.
  static ContinualMethod parse(const std::string& text);
  /// "ewc-online"
  std::string kind_name() const;
  /// "ewc-online:exact@500"
  std::string name() const;

  bool uses_fisher() const { return kind >= ContinualKind::EwcSeparate; }
  /// Whether lambda means something.
  bool has_penalty() const { return kind >= ContinualKind::L2; }
  PenaltyForm form() const;
};

/// The lambda of one diagonal carried over to others: lambda * trace(F of `reference`) / trace(F), both
/// measured on the first task.
struct LambdaTranslation {
  FisherChoice reference;
  double lambda = 0;

  /// `FISHER:LAMBDA`, as in "exact:1e5". Throws ArgumentError.
  static LambdaTranslation parse(const std::string& text);
  std::string name() const;
};

/// A finite number >= 0 that EwcPenalty takes. Throws ArgumentError.
double parse_lambda(const std::string& text);
/// The shortest text that reads back as `lambda`: "1e+05" and the like.
std::string lambda_name(double lambda);

}  // namespace fisherdiag
