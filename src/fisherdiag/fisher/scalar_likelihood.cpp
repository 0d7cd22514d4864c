#include "fisherdiag/fisher/scalar_likelihood.hpp"

namespace fisherdiag::scalar {

namespace {

Vector<double> softmax(const Vector<double>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  Vector<double> p(logits.size());
  double sum = 0;
  for (std::size_t c = 0; c < p.size(); ++c) sum += p[c] = std::exp(logits[c] - largest);
  for (double& value : p) value /= sum;
  return p;
}

double sigmoid(double z) {
  return 1 / (1 + std::exp(-z));
}

/// p - e_label, its own entry as minus the sum of the others: 1 - p would cancel.
Vector<double> categorical_residual(Vector<double> p, std::size_t label) {
  p[label] = 0;
  double others = 0;
  for (const double value : p) others += value;
  p[label] = -others;
  return p;
}

/// sqrt(p_y) (p - e_y) for every class y.
std::vector<Vector<double>> categorical_expectation(const Vector<double>& logits) {
  const Vector<double> p = softmax(logits);
  std::vector<Vector<double>> seeds;
  for (std::size_t y = 0; y < p.size(); ++y) {
    seeds.push_back(categorical_residual(p, y));
    for (double& value : seeds.back()) value *= std::sqrt(p[y]);
  }
  return seeds;
}

/// Var(y | z) of one output of a likelihood with independent outputs; residuals of different outputs do not
/// correlate.
double variance(Likelihood likelihood, double z) {
  if (likelihood == Likelihood::Bernoulli) return sigmoid(z) * sigmoid(-z);
  return likelihood == Likelihood::Poisson ? std::exp(z) : 1.0;
}

/// The most probable target.
Vector<float> mode(Likelihood likelihood, const Vector<double>& logits) {
  if (likelihood == Likelihood::Categorical)
    return {static_cast<float>(std::max_element(logits.begin(), logits.end()) - logits.begin())};
  Vector<float> target;
  for (const double z : logits)
    target.push_back(static_cast<float>(likelihood == Likelihood::Bernoulli ? z > 0
                                        : likelihood == Likelihood::Poisson ? std::floor(std::exp(z))
                                                                            : z));
  return target;
}

}  // namespace

Vector<double> residual(Likelihood likelihood, const Vector<double>& logits, const float* target) {
  if (likelihood == Likelihood::Categorical)
    return categorical_residual(softmax(logits), target ? static_cast<std::size_t>(target[0]) : 0);
  Vector<double> result(logits.size());
  for (std::size_t c = 0; c < result.size(); ++c) {
    const double z = logits[c], y = target ? static_cast<double>(target[c]) : 0.0;
    if (likelihood == Likelihood::Gaussian) result[c] = z - y;
    if (likelihood == Likelihood::Bernoulli) result[c] = y > 0 ? -sigmoid(-z) : sigmoid(z);
    if (likelihood == Likelihood::Poisson) result[c] = std::exp(z) - y;
  }
  return result;
}

std::vector<Vector<double>> seeds_by_definition(EstimatorKind kind, Likelihood likelihood,
                                                const Vector<double>& logits, const float* target) {
  if (kind == EstimatorKind::Predicted)
    return {residual(likelihood, logits, mode(likelihood, logits).data())};
  if (kind != EstimatorKind::Exact) return {residual(likelihood, logits, target)};
  if (likelihood == Likelihood::Categorical) return categorical_expectation(logits);
  std::vector<Vector<double>> seeds;
  for (std::size_t c = 0; c < logits.size(); ++c) {
    seeds.emplace_back(logits.size(), 0.0);
    seeds.back()[c] = std::sqrt(variance(likelihood, logits[c]));
  }
  return seeds;
}

Vector<double> sequence_residual(Likelihood likelihood, std::size_t positions, const Vector<double>& logits,
                                 const float* target) {
  Vector<double> result(logits.size(), 0.0);
  for_positions(
      likelihood, positions, logits, target, [&](const Vector<double>& z, const float* y, std::size_t first) {
        std::ranges::copy(residual(likelihood, z, y), result.begin() + static_cast<std::ptrdiff_t>(first));
      });
  return result;
}

std::vector<Vector<double>> sequence_seeds(EstimatorKind kind, Likelihood likelihood, std::size_t positions,
                                           const Vector<double>& logits, const float* target) {
  std::vector<Vector<double>> result;
  for_positions(likelihood, positions, logits, target,
                [&](const Vector<double>& z, const float* y, std::size_t first) {
                  for (const Vector<double>& seed : seeds_by_definition(kind, likelihood, z, y)) {
                    // Residuals of positions are independent with mean zero: exact's squares add up.
                    if (result.empty() || kind == EstimatorKind::Exact)
                      result.emplace_back(logits.size(), 0.0);
                    std::ranges::copy(seed, result.back().begin() + static_cast<std::ptrdiff_t>(first));
                  }
                });
  return result;
}

}  // namespace fisherdiag::scalar
