// Scores of samples for networks given as graphs. Internal to fisher/.
#pragma once

#include <cstddef>
#include <memory>

#include "fisherdiag/fisher/sample_scorer.hpp"
#include "fisherdiag/fisher/sample_scores.hpp"

namespace fisherdiag {

/// With t over the positions of the outputs: norms = sum_t sum_k |s_nkt|^2 (|h_nt|^2 + 1), h_nt being what
/// goes into the last layer, if that is linear, and the 1 its bias; otherwise the sum of the seeds' squares.
/// strata: of the sums over t.
std::unique_ptr<SampleScorer> make_graph_scorer(const Network& network, const ScoreOptions& options,
                                                const Context& context);

/// Bytes it allocates.
std::size_t graph_scorer_bytes(const Architecture& architecture, const Estimator& estimator,
                               Likelihood likelihood, const Context& context);

}  // namespace fisherdiag
