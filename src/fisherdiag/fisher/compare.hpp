// How far two Fisher diagonals of one model differ, in scale and in direction.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "fisherdiag/fisher/diagonal.hpp"

namespace fisherdiag {

/// Figures that compare values a with values b. Where one is undefined (a zero vector, fewer than two values,
/// all values equal) it is NaN.
struct Similarity {
  double trace_a = 0;         ///< sum of a
  double trace_b = 0;         ///< sum of b
  double trace_ratio = 0;     ///< trace_a / trace_b
  double cosine = 0;          ///< a.b / (|a| |b|)
  double spearman = 0;        ///< correlation of ranks, ties sharing their mean rank
  double relative_error = 0;  ///< |a - b| / |b|; 0 for two zero vectors
  /// sum_i sqrt(a_i b_i / (trace_a trace_b)) in [0, 1], 1 for the same direction: the Fisher overlap 1 - d^2
  /// of Kirkpatrick et al. 2017 (supplement) for diagonals.
  double overlap = 0;
};

struct TensorSimilarity {
  std::string name;
  Similarity similarity;
};

/// One quantile of all values of each side.
struct QuantileRatio {
  double level = 0;  ///< share of values below, in (0, 1]
  double a = 0, b = 0;
  double ratio = 0;  ///< a / b; NaN if b is 0
};

struct FisherComparison {
  std::vector<TensorSimilarity> tensors;  ///< in the order of the first diagonal
  Similarity total;                       ///< over all parameters as one vector
  std::vector<QuantileRatio> quantiles;   ///< 25%, 50%, 75%, 90%, 99%, 99.9% and 100%
  /// Multiply the first diagonal's EWC lambda with this to give the second the same strength: trace_a /
  /// trace_b.
  double lambda_ratio = 0;
};

/// a and b hold the same number of values.
Similarity compare_values(std::span<const float> a, std::span<const float> b);

/// Tensors are matched by name. Throws DataError naming a tensor that only one side has or whose shapes
/// differ.
FisherComparison compare_fisher(const FisherDiagonal& a, const FisherDiagonal& b);

/// For each tensor of `expected`, the index of the tensor of the same name and shape in `found`. Throws
/// DataError unless the two have the same names and shapes, worded as seen from `found` ("there is no tensor
/// 'x'").
std::vector<std::size_t> match_tensors(const std::vector<ParameterTensor>& expected,
                                       const std::vector<ParameterTensor>& found);

}  // namespace fisherdiag
