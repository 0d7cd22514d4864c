// The oracle's Fisher of networks with an output at each position of a sequence: float64, one sample at a
// time, by definition. Never used in production.
#pragma once

#include "reference/fisher_reference.hpp"

namespace fisherdiag::reference {

/// Samples of a network that puts out [positions, classes]: `inputs` numbers of `tokens` tokens (0: uniform
/// in
/// [-1, 1)), a label for each position. One in `ignored` labels is -100; 0: none.
Samples random_sequences(std::size_t count, std::size_t inputs, std::size_t tokens, std::size_t positions,
                         std::size_t classes, std::size_t ignored, std::uint64_t seed);

/// The diagonal for the categorical likelihood, divided by the number of sequences (batched: of batches).
///
/// LikelihoodUnit::Sequence: the log-likelihood of a sequence is the sum over its positions. `exact` is the
/// expectation over all classes^positions labellings, one by one. LikelihoodUnit::Token: every position's
/// gradient is squared. Positions whose label is -100 are no part of either.
Vector sequence_diagonal(const Mlp& mlp, const Samples& samples, std::size_t positions,
                         const Estimator& estimator);

/// Mean over samples of the nll, of a sample the sum over its positions, those with label -100 left out.
struct SequenceLoss {
  double nll = 0;
  Vector gradient;
  std::size_t counted = 0, correct = 0;  ///< labels that count, and those whose output is the largest
};

/// samples.target: a class (categorical) or C values for each position.
SequenceLoss sequence_loss(const Mlp& mlp, const Samples& samples, std::size_t positions,
                           Likelihood likelihood);

}  // namespace fisherdiag::reference
