// The loss of networks with an output at each position of a sequence (docs/estimators.md, "Sequences").
#pragma once

#include <cstdint>
#include <span>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"

namespace fisherdiag {

/// nll_and_residuals for n samples of T positions: the nll of a sample is the sum over its positions, as
/// labels at different positions are independent given the inputs.
/// logits [n T, C], a sample's positions one after the other; targets [n, target_width()]; samples: n;
/// residuals [n T, C]. Categorical, T > 1: where the label is kIgnoredLabel the nll and the residuals are 0.
/// Errors: as nll_and_residuals, naming the sample.
double sequence_nll_and_residuals(Likelihood likelihood, MatrixView<const float> logits,
                                  MatrixView<const float> targets, std::span<const std::uint64_t> samples,
                                  const kernels::KernelTable& kernels, MatrixView<float> residuals);

}  // namespace fisherdiag
