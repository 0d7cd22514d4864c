// Batch norm and what follows it, in one sweep over memory.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fisherdiag/nn/graph.hpp"
#include "fisherdiag/nn/op.hpp"

namespace fisherdiag {

/// A batch norm, perhaps the sum with one other value, perhaps a ReLU: layers that nothing else takes the
/// values between of. Those values are never stored; the layers' work is done when the last one's turn comes.
struct NormTail {
  std::size_t norm = 0;             ///< node
  std::optional<std::size_t> add;   ///< node
  std::optional<std::size_t> relu;  ///< node
  std::size_t other = 0;            ///< value that is added, if `add`

  std::size_t last() const { return relu ? *relu : *add; }
};

/// The layer that alone takes value v, once; nothing for the network's output.
std::optional<std::size_t> only_user(const Graph& graph, std::size_t v);

/// The tails of a graph, at most one for each layer; batch norms followed by neither are not among them.
std::vector<NormTail> find_norm_tails(const Graph& graph);

/// Per value of the graph: it lies within one of `tails` and is never stored.
std::vector<bool> unstored_values(const Graph& graph, const std::vector<NormTail>& tails);

/// Per layer: the one at whose turn its work is done.
std::vector<std::size_t> turns_of_layers(const Graph& graph, const std::vector<NormTail>& tails);

/// Runs norm_backward on `samples` samples and adds the parameters' gradients, if there are any. `a` has all
/// but what the norm says.
void backward_norm(const kernels::KernelTable& kernels, const NormTables& norm, std::size_t samples,
                   kernels::NormBackwardArguments a, std::span<const GradientRows> gradients);

}  // namespace fisherdiag
