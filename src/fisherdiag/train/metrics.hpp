// How well a network does on a dataset.
#pragma once

#include <cstddef>
#include <optional>

#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"
#include "fisherdiag/train/output_heads.hpp"

namespace fisherdiag {

struct Evaluation {
  double nll = 0;                  ///< mean over samples, in nats
  std::optional<double> accuracy;  ///< share of samples whose largest output is the label's; categorical only
  std::size_t samples = 0;
};

/// Runs every sample of `dataset` through `network`, block by block; a tie between outputs goes to the lowest
/// class. With `heads` only the outputs of the label's head count (categorical only). Errors: ArgumentError
/// for a dataset that does not fit; DataError for a bad label or an output that is not finite, naming the
/// sample; IoError, FormatError from the data.
Evaluation evaluate(const Network& network, Dataset& dataset, Likelihood likelihood, const Context& context,
                    const OutputHeads& heads = {});

}  // namespace fisherdiag
