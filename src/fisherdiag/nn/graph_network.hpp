// A graph's operations with their parameters laid out as the kernels want them.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/nn/op.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

/// Made once and used by all threads; pack() takes new parameters in.
class GraphNetwork {
 public:
  /// `architecture` must be a graph and outlive this.
  GraphNetwork(const Architecture& architecture, const Context& context);

  void pack(const Network& network, const Context& context);

  const Graph& graph() const { return graph_; }
  const Op& op(std::size_t node) const { return *ops_[node]; }
  std::size_t nodes() const { return ops_.size(); }
  const kernels::KernelTable& kernels() const { return kernels_; }

  std::size_t packed_bytes() const;
  /// Floats of scratch any operation needs.
  std::size_t scratch_floats() const;

 private:
  const Graph& graph_;
  const kernels::KernelTable& kernels_;
  std::vector<std::unique_ptr<Op>> ops_;
};

/// The operation of one node, not prepared: shapes and flops only.
std::unique_ptr<Op> make_node_op(const Graph& graph, std::size_t node);

}  // namespace fisherdiag
