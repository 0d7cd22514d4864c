// Losses and seeds of one sample by their definitions, for checking the engine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "fisherdiag/fisher/scalar_layer.hpp"
#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag::scalar {

/// -log p(target | logits) in nats without the terms that do not depend on the logits. target: a class index
/// or one value per logit; nullptr: zeros. The categorical form keeps its precision when the loss is near 0.
template <class Real>
Real nll(Likelihood likelihood, const Vector<Real>& logits, const float* target) {
  const auto value = [&](std::size_t c) { return target ? static_cast<Real>(target[c]) : Real(0); };
  if (likelihood == Likelihood::Categorical) {
    const auto label = static_cast<std::size_t>(value(0));
    Real largest = 0, others = 0;  // of z_c - z_label
    for (const Real z : logits) largest = std::max(largest, z - logits[label]);
    if (largest == 0) {
      for (std::size_t c = 0; c < logits.size(); ++c)
        if (c != label) others += std::exp(logits[c] - logits[label]);
      return std::log1p(others);
    }
    for (const Real z : logits) others += std::exp(z - logits[label] - largest);
    return largest + std::log(others);
  }
  Real sum = 0;
  for (std::size_t c = 0; c < logits.size(); ++c) {
    const Real z = logits[c], y = value(c), against = y > 0 ? -z : z;
    if (likelihood == Likelihood::Gaussian) sum += (z - y) * (z - y) / 2;
    if (likelihood == Likelihood::Bernoulli)
      sum += std::max(against, Real(0)) + std::log1p(std::exp(-std::abs(z)));
    if (likelihood == Likelihood::Poisson) sum += std::exp(z) - y * z;
  }
  return sum;
}

/// d nll / d logits.
Vector<double> residual(Likelihood likelihood, const Vector<double>& logits, const float* target);

/// The seeds of `empirical` (and `batched`), `predicted` and `exact`; exact as the expectation over the
/// model's own targets spelt out, not as a factor. Not for mc and sketch, whose seeds are random.
std::vector<Vector<double>> seeds_by_definition(EstimatorKind kind, Likelihood likelihood,
                                                const Vector<double>& logits, const float* target);

/// A network with outputs at several positions of a sequence: calls f(logits of the position, its target,
/// index of its first logit) for every position whose label is not kIgnoredLabel.
template <class Real, class F>
void for_positions(Likelihood likelihood, std::size_t positions, const Vector<Real>& logits,
                   const float* target, const F& f) {
  const std::size_t outputs = logits.size() / positions, width = target_width(likelihood, outputs, 1);
  for (std::size_t t = 0; t < positions; ++t) {
    const float* own = target ? target + t * width : nullptr;
    if (positions > 1 && likelihood == Likelihood::Categorical && own && *own == kIgnoredLabel) continue;
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(t * outputs);
    f(Vector<Real>(begin, begin + static_cast<std::ptrdiff_t>(outputs)), own, t * outputs);
  }
}

/// The losses of all positions.
template <class Real>
Real sequence_nll(Likelihood likelihood, std::size_t positions, const Vector<Real>& logits,
                  const float* target) {
  Real sum = 0;
  for_positions(likelihood, positions, logits, target,
                [&](const Vector<Real>& z, const float* y, std::size_t) { sum += nll(likelihood, z, y); });
  return sum;
}

/// d sequence_nll / d logits.
Vector<double> sequence_residual(Likelihood likelihood, std::size_t positions, const Vector<double>& logits,
                                 const float* target);

/// As seeds_by_definition, of the likelihood of whole sequences.
std::vector<Vector<double>> sequence_seeds(EstimatorKind kind, Likelihood likelihood, std::size_t positions,
                                           const Vector<double>& logits, const float* target);

}  // namespace fisherdiag::scalar
