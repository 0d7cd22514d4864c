// What a forward pass alone tells about every sample's gradient.
#pragma once

#include <functional>

#include "fisherdiag/fisher/importance.hpp"
#include "fisherdiag/fisher/profile.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

struct ScoreOptions {
  Estimator estimator;
  Likelihood likelihood = Likelihood::Categorical;
  std::size_t block_rows = 1024;                   ///< samples read at a time
  PassProfile* profile = nullptr;                  ///< as in FisherOptions
  std::function<bool(std::size_t done)> progress;  ///< as in FisherOptions
};

/// For every sample of `data`: norms = sum_k |s_nk|^2 (1 + |h_n|^2), the trace of the last layer's part of F,
/// h_n being what goes into that layer; strata = the outputs with the largest and the second largest sum_k
/// s_nk^2, which is where the last layer's part of F is concentrated (docs/sampling.md). Of graphs:
/// graph_scores.hpp.
///
/// mc and sketch are scored by the exact seeds they stand for, so scores do not depend on draws. Same bits
/// for any number of threads. `reading_seconds` grows by the time waited for data. Throws as compute_fisher.
SampleScores score_samples(const Network& network, Dataset& data, const ScoreOptions& options,
                           const Context& context, double& reading_seconds);

/// Needed flops of one sample's score: a forward pass.
double score_flops_per_sample(const Architecture& architecture);

}  // namespace fisherdiag
