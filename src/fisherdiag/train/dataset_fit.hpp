// Whether a dataset can be fed to a network.
#pragma once

#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// Throws ArgumentError naming the dataset unless it has samples, as many features as the network has inputs,
/// and the targets of the likelihood: labels for categorical, one value per output otherwise, at each of the
/// network's positions.
void require_fit(const Dataset& dataset, const Architecture& architecture, Likelihood likelihood);

}  // namespace fisherdiag
