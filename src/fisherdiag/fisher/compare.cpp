#include "fisherdiag/fisher/compare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

double ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : kUndefined;
}

/// Rounding alone may carry a correlation past 1. The product under one root makes that of a vector with
/// itself exactly 1; squares of floats are far from the ends of double's range.
double correlation(double product, double square_a, double square_b) {
  return std::clamp(ratio(product, std::sqrt(square_a * square_b)), -1.0, 1.0);
}

std::vector<std::size_t> sorted_order(std::span<const float> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return values[i] < values[j]; });
  return order;
}

/// Calls visit(index, rank) for every value, rank in [0, n) and averaged over ties.
template <class Visit>
void for_each_rank(std::span<const float> values, Visit visit) {
  const std::vector<std::size_t> order = sorted_order(values);
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first + 1;
    while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
    const double rank = 0.5 * static_cast<double>(first + last - 1);
    for (std::size_t i = first; i < last; ++i) visit(order[i], rank);
    first = last;
  }
}

double spearman(std::span<const float> a, std::span<const float> b) {
  if (a.size() < 2) return kUndefined;
  const double mean = 0.5 * static_cast<double>(a.size() - 1);
  std::vector<double> ranks(a.size());
  double variance_a = 0, variance_b = 0, covariance = 0;
  for_each_rank(a, [&](std::size_t i, double rank) {
    ranks[i] = rank - mean;
    variance_a += ranks[i] * ranks[i];
  });
  for_each_rank(b, [&](std::size_t i, double rank) {
    variance_b += (rank - mean) * (rank - mean);
    covariance += ranks[i] * (rank - mean);
  });
  return correlation(covariance, variance_a, variance_b);
}

/// The smallest of the sorted values with at least a share `level` of all at or below it.
double quantile(const std::vector<float>& sorted, double level) {
  const auto rank = static_cast<std::size_t>(std::ceil(level * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

std::vector<QuantileRatio> compare_quantiles(std::span<const float> a, std::span<const float> b) {
  std::vector<float> sorted_a(a.begin(), a.end()), sorted_b(b.begin(), b.end());
  std::ranges::sort(sorted_a);
  std::ranges::sort(sorted_b);
  std::vector<QuantileRatio> quantiles;
  for (const double level : {0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0}) {
    const double x = quantile(sorted_a, level), y = quantile(sorted_b, level);
    quantiles.push_back({level, x, y, ratio(x, y)});
  }
  return quantiles;
}

/// The values of `diagonal` with its tensors in the given order.
std::vector<float> reordered(const FisherDiagonal& diagonal, std::span<const std::size_t> order) {
  std::vector<float> values;
  values.reserve(diagonal.values().size());
  for (const std::size_t t : order) {
    const ParameterTensor& tensor = diagonal.tensors()[t];
    const std::span<const float> part = diagonal.values().subspan(tensor.offset, tensor.size);
    values.insert(values.end(), part.begin(), part.end());
  }
  return values;
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace

std::vector<std::size_t> match_tensors(const std::vector<ParameterTensor>& expected,
                                       const std::vector<ParameterTensor>& found) {
  std::map<std::string, std::size_t> places;
  for (std::size_t t = 0; t < found.size(); ++t) places[found[t].name] = t;
  std::vector<std::size_t> order;
  for (const ParameterTensor& tensor : expected) {
    const auto place = places.find(tensor.name);
    if (place == places.end()) throw DataError("there is no tensor '" + tensor.name + "'");
    if (found[place->second].shape != tensor.shape)
      throw DataError("tensor '" + tensor.name + "' has shape " + shape_text(found[place->second].shape) +
                      " where " + shape_text(tensor.shape) + " is expected");
    order.push_back(place->second);
    places.erase(place);
  }
  if (!places.empty()) throw DataError("tensor '" + places.begin()->first + "' is not expected");
  return order;
}

Similarity compare_values(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size())
    throw ArgumentError("[compare_values] a has " + std::to_string(a.size()) + " values, b has " +
                        std::to_string(b.size()));
  Similarity result;
  double dot = 0, roots = 0, square_a = 0, square_b = 0, square_difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    result.trace_a += x;
    result.trace_b += y;
    dot += x * y;
    roots += std::sqrt(x * y);
    square_a += x * x;
    square_b += y * y;
    square_difference += (x - y) * (x - y);
  }
  result.trace_ratio = ratio(result.trace_a, result.trace_b);
  result.cosine = correlation(dot, square_a, square_b);
  result.spearman = spearman(a, b);
  result.overlap = std::min(ratio(roots, std::sqrt(result.trace_a * result.trace_b)), 1.0);
  result.relative_error = square_difference == 0 ? 0.0 : std::sqrt(ratio(square_difference, square_b));
  return result;
}

FisherComparison compare_fisher(const FisherDiagonal& a, const FisherDiagonal& b) {
  const std::vector<std::size_t> order = match_tensors(a.tensors(), b.tensors());
  const std::vector<float> values_b = reordered(b, order);
  FisherComparison comparison;
  for (const ParameterTensor& tensor : a.tensors())
    comparison.tensors.push_back(
        {tensor.name, compare_values(a.values().subspan(tensor.offset, tensor.size),
                                     std::span(values_b).subspan(tensor.offset, tensor.size))});
  comparison.total = compare_values(a.values(), values_b);
  comparison.quantiles = compare_quantiles(a.values(), values_b);
  comparison.lambda_ratio = comparison.total.trace_ratio;
  return comparison;
}

}  // namespace fisherdiag
