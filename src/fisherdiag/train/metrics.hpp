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
  double nll = 0;  ///< mean over samples, in nats; of a sequence the sum over its positions
  /// Share of labels, sequences having one at each position, whose output is the largest; categorical only.
  std::optional<double> accuracy;
  std::size_t samples = 0;
  std::size_t targets = 0;  ///< samples, or positions of sequences but those whose label is kIgnoredLabel

  /// Mean over what `targets` counts.
  double nll_per_target() const { return nll * static_cast<double>(samples) / static_cast<double>(targets); }
};

/// Runs every sample of `dataset` through `network`, block by block; a tie between outputs goes to the lowest
/// class. With `heads` only the outputs of the label's head count (categorical only). Errors: ArgumentError
/// for a dataset that does not fit; DataError for a bad label or an output that is not finite, naming the
/// sample, or where no label counts; IoError, FormatError from the data.
Evaluation evaluate(const Network& network, Dataset& dataset, Likelihood likelihood, const Context& context,
                    const OutputHeads& heads = {});

}  // namespace fisherdiag
