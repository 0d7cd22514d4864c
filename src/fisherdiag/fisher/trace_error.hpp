// Standard error of trace(F) when F comes from a sample of the data (docs/sampling.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fisherdiag/fisher/importance.hpp"

namespace fisherdiag {

/// Mean over the N samples of the data of t_n, the trace of one sample's squared gradient, as estimated; not
/// finite where too few samples tell.
struct TraceMean {
  double value = 0;
  double standard_error = 0;
};

/// From samples drawn uniformly without replacement: s / sqrt(n) sqrt(1 - n/N).
class UniformTraceError {
 public:
  /// `parts` traces per sample: one per layer; their sum is part number `parts`.
  UniformTraceError(std::size_t parts, std::uint64_t population);

  /// traces: of one sample.
  void add(std::span<const double> traces);

  /// Of part p <= parts.
  TraceMean mean(std::size_t part) const;

  /// All there is to it as numbers, to be put back. Throws DataError for another count of numbers.
  std::vector<double> state() const;
  void restore(std::span<const double> state);

 private:
  /// Running mean and sum of squared deviations (Welford 1962).
  struct Moments {
    double mean = 0, squares = 0;
  };

  std::uint64_t population_, count_ = 0;
  std::vector<Moments> parts_;
};

/// From independent rounds of an ImportanceDesign. Within a round by successive differences in the order of
/// the design (Wolter, Introduction to Variance Estimation, 2nd ed. 2007, section 8.2, carried over to
/// unequal probabilities).
class ImportanceTraceError {
 public:
  ImportanceTraceError(std::size_t parts, std::uint64_t population);

  /// traces [samples, parts] of the round's samples, row by row.
  void add_round(const DrawnSamples& round, std::span<const double> traces);

  TraceMean mean(std::size_t part) const;

 private:
  std::size_t parts_;
  std::uint64_t population_, count_ = 0;
  std::vector<double> totals_, variances_;  // [part]: sum over rounds of n_r T_r and of n_r^2 Var(T_r)
};

}  // namespace fisherdiag
