// Exact mean and variance of random estimators by listing every outcome of a draw.
#pragma once

#include <cmath>
#include <vector>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/philox.hpp"

namespace test {

/// One outcome of a draw for one sample: the seed it back-propagates (of S = 1) and its probability.
struct Outcome {
  Vector seed;
  double probability;
};

/// Every outcome of an mc draw (categorical: the classes; bernoulli: the 2^C targets).
inline std::vector<Outcome> mc_outcomes(fisherdiag::Likelihood likelihood, const Vector& z) {
  using namespace fisherdiag;
  std::vector<Outcome> outcomes;
  if (likelihood == Likelihood::Categorical) {
    const Vector p = reference::softmax(z);
    for (std::size_t c = 0; c < z.size(); ++c)
      outcomes.push_back({reference::nll_gradient(likelihood, z, {static_cast<double>(c)}), p[c]});
    return outcomes;
  }
  for (std::size_t bits = 0; bits < (std::size_t{1} << z.size()); ++bits) {
    Vector target;
    for (std::size_t c = 0; c < z.size(); ++c) target.push_back(static_cast<double>((bits >> c) & 1));
    outcomes.push_back(
        {reference::nll_gradient(likelihood, z, target), std::exp(-reference::nll(likelihood, z, target))});
  }
  return outcomes;
}

/// Every outcome of a sketch draw: the factor times all signs.
inline std::vector<Outcome> sketch_outcomes(fisherdiag::Likelihood likelihood, const Vector& z) {
  using namespace fisherdiag;
  const std::size_t n = z.size(), columns = likelihood == Likelihood::Categorical ? n - 1 : n;
  const Vector l = reference::cholesky(reference::score_covariance(likelihood, z), n);
  std::vector<Outcome> outcomes;
  for (std::size_t bits = 0; bits < (std::size_t{1} << columns); ++bits) {
    Vector seed(n, 0.0);
    for (std::size_t k = 0; k < columns; ++k)
      for (std::size_t c = 0; c < n; ++c) seed[c] += ((bits >> k) & 1 ? -1 : 1) * l[c * n + k];
    outcomes.push_back({seed, std::ldexp(1.0, -static_cast<int>(columns))});
  }
  return outcomes;
}

/// Scalars T_j = sum_i a_ji F_i of a mean-normalised diagonal with random weights a in [-1, 1], and what they
/// should be.
class Scalars {
 public:
  Scalars(std::size_t count, std::size_t parameters, std::uint64_t seed)
      : weights_(count, Vector(parameters)) {
    fisherdiag::RandomStream random(seed, fisherdiag::random_stream::kTest, 99);
    for (Vector& weights : weights_)
      for (double& weight : weights) weight = 2 * random.next_uniform() - 1;
  }

  Vector of(const Vector& fisher) const {
    Vector result;
    for (const Vector& weights : weights_) {
      result.push_back(0);
      for (std::size_t i = 0; i < fisher.size(); ++i) result.back() += weights[i] * fisher[i];
    }
    return result;
  }

  /// Adds one sample of N, drawn S times.
  void expect(const fisherdiag::reference::Mlp& mlp, const Vector& x, const std::vector<Outcome>& outcomes,
              std::size_t samples, std::size_t draws) {
    mean_.resize(weights_.size(), 0.0);
    variance_.resize(weights_.size(), 0.0);
    std::vector<Vector> values;
    for (const Outcome& outcome : outcomes) {
      Vector square = fisherdiag::reference::gradient(mlp, x, outcome.seed);
      for (double& value : square) value *= value;
      values.push_back(of(square));
    }
    const auto n = static_cast<double>(samples);
    for (std::size_t j = 0; j < weights_.size(); ++j) {
      double mean = 0, variance = 0;
      for (std::size_t o = 0; o < outcomes.size(); ++o) mean += outcomes[o].probability * values[o][j];
      for (std::size_t o = 0; o < outcomes.size(); ++o)
        variance += outcomes[o].probability * std::pow(values[o][j] - mean, 2);
      mean_[j] += mean / n;
      variance_[j] += variance / (n * n * static_cast<double>(draws));
    }
  }

  /// (T - mean) / standard deviation of each scalar.
  Vector z_scores(const Vector& fisher) const {
    Vector scores = of(fisher);
    for (std::size_t j = 0; j < scores.size(); ++j)
      scores[j] = (scores[j] - mean_[j]) / std::sqrt(variance_[j]);
    return scores;
  }

 private:
  std::vector<Vector> weights_;
  Vector mean_, variance_;
};

inline double largest(const Vector& values) {
  double result = 0;
  for (double value : values) result = std::abs(value) <= result ? result : std::abs(value);
  return result;
}

}  // namespace test
