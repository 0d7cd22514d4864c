// What other code does, written as well as it can be: the passes fisherdiag is measured against.
#pragma once

#include <span>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag::bench {

/// Batch of one: a gradient per sample by forward and backward, squared and added. sum [P] += over the
/// samples.
void loop_fisher(const Network& network, MatrixView<const float> inputs, MatrixView<const float> labels,
                 const Context& context, std::span<double> sum);

/// sum [P] += the squares of `rows` gradients [rows, P].
void add_squares(std::span<const float> gradients, std::size_t rows, const Context& context,
                 std::span<double> sum);

/// All per-sample gradients of a batch stored [n, P], then squared and added. `gradients` is that storage.
void materialized_fisher(const Network& network, MatrixView<const float> inputs,
                         MatrixView<const float> labels, const Context& context, std::span<float> gradients,
                         std::span<double> sum);

}  // namespace fisherdiag::bench
