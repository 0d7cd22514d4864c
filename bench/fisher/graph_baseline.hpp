// What other code does with graphs of layers: every per-sample gradient stored as a whole before it is
// squared.
#pragma once

#include <span>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag::bench {

/// Each batch goes forward and backward, its gradients are stored [n, P] in `gradients`, then squared and
/// added: sum [P] += over the samples. A batch is as large as `gradients` allows; of one sample, this is the
/// loop of most public code. Threads share the samples, then the parameters.
void materialized_graph_fisher(const Network& network, MatrixView<const float> inputs,
                               MatrixView<const float> labels, const Context& context,
                               std::span<float> gradients, std::span<double> sum);

}  // namespace fisherdiag::bench
