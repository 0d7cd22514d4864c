// A graph's operations with their parameters laid out as the kernels want them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/nn/norm_tail.hpp"
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

  /// Rows of samples as data has them to one row for each position: value 0.
  void load(MatrixView<const float> inputs, const kernels::Strips& value) const;
  /// values[v] of every layer from values[0], but those within a NormTail, which are not touched, and those
  /// that only an activation takes, which leaves its slope there for backward(). sample_ids:
  /// as OpForward. watch(node) is made before a layer and destroyed after it; a NormTail goes by its norm.
  template <class Watch>
  void forward(std::span<const kernels::Strips> values, std::size_t samples, const std::uint64_t* sample_ids,
               OpScratch& scratch, const Watch& watch) const {
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      if (skipped_[i]) continue;
      [[maybe_unused]] const auto watched = watch(named(i));
      forward_layer(i, values, samples, sample_ids, scratch);
    }
  }
  /// deltas.back() taken to the sensitivities of all values whose deltas have data, but the same.
  /// gradients[t]: of tensor t, to be added to; no data: of a matrix. A value's sensitivities are there from
  /// the turn of the last layer that takes it to that of the layer that puts it out (turns_of_layers());
  /// before(i) is called at the turn of layer i, when those of its output are complete.
  template <class Watch, class Before>
  void backward(std::span<const kernels::Strips> values, std::span<const kernels::Strips> deltas,
                std::span<const GradientRows> gradients, std::size_t samples, OpScratch& scratch,
                const Watch& watch, const Before& before) const {
    std::vector<bool> written(values.size(), false);
    written.back() = true;
    for (std::size_t i = ops_.size(); i-- > 0;) {
      // A layer nothing depends on, or with no parameters below, has no sensitivities.
      if (skipped_[i] || !deltas[i + 1].data || !written[i + 1]) continue;
      before(i);
      [[maybe_unused]] const auto watched = watch(named(i));
      backward_layer(i, values, deltas, gradients, samples, scratch, written);
    }
  }

  template <class Watch>
  void backward(std::span<const kernels::Strips> values, std::span<const kernels::Strips> deltas,
                std::span<const GradientRows> gradients, std::size_t samples, OpScratch& scratch,
                const Watch& watch) const {
    backward(values, deltas, gradients, samples, scratch, watch, [](std::size_t) {});
  }

  std::size_t packed_bytes() const;
  /// Floats of scratch any operation needs.
  std::size_t scratch_floats() const;

 private:
  void forward_layer(std::size_t node, std::span<const kernels::Strips> values, std::size_t samples,
                     const std::uint64_t* sample_ids, OpScratch& scratch) const;
  /// The layer whose name the work at node i goes by.
  std::size_t named(std::size_t i) const { return tail_at_[i] ? tail_at_[i]->norm : i; }
  bool can_leave_slope(std::size_t node) const;
  void forward_tail(const NormTail& tail, std::span<const kernels::Strips> values) const;
  void backward_tail(const NormTail& tail, std::span<const kernels::Strips> values,
                     std::span<const kernels::Strips> deltas, std::span<const GradientRows> gradients,
                     std::size_t samples, std::vector<bool>& written) const;
  void backward_layer(std::size_t node, std::span<const kernels::Strips> values,
                      std::span<const kernels::Strips> deltas, std::span<const GradientRows> gradients,
                      std::size_t samples, OpScratch& scratch, std::vector<bool>& written) const;

  const Graph& graph_;
  const kernels::KernelTable& kernels_;
  std::vector<std::unique_ptr<Op>> ops_;
  std::vector<const NormTail*> tail_at_;  // per layer: what ends there; nullptr: the layer stands for itself
  std::vector<bool> skipped_;             // per layer: done with a tail that ends later
  std::vector<bool> leaves_slope_;        // per layer: its input's place has its derivative after forward
  std::vector<NormTail> tails_;
};

/// Throws UnsupportedError naming a layer unless all of `users`, the layers that share matrix `tensor`, sum
/// the same elements at the same places.
void require_same_matrices(const GraphNetwork& network, std::size_t tensor,
                           const std::vector<std::size_t>& users);

/// The operation of one node, not prepared: shapes and flops only.
std::unique_ptr<Op> make_node_op(const Graph& graph, std::size_t node);

}  // namespace fisherdiag
