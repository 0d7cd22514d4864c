// What every Fisher computation asks of a network and its data. Internal to fisher/.
#pragma once

#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/network.hpp"

namespace fisherdiag {

/// True if a pass reads the data's targets: because the estimator needs them, or because they are labels of
/// the positions of sequences, which say what positions to leave out.
bool reads_targets(const Architecture& architecture, const Dataset& data, const Estimator& estimator,
                   Likelihood likelihood);

/// Throws DataError without samples; ArgumentError for another number of features than the network takes, an
/// estimator the likelihood does not have, or targets that are not what the estimator needs.
void require_fitting_data(const Network& network, const Dataset& data, const Estimator& estimator,
                          Likelihood likelihood);

/// Throws DataError naming a parameter that is not finite: it may hide behind an inactive unit, so the
/// outputs alone do not tell.
void require_finite_weights(const Network& network);

}  // namespace fisherdiag
