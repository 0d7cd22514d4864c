// Mean loss of a mini-batch and its gradient, for a graph of layers. Internal to batch_gradient.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/fisher/graph_layout.hpp"
#include "fisherdiag/nn/graph_network.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"
#include "fisherdiag/train/output_heads.hpp"

namespace fisherdiag {

/// As BatchGradient. Rows: chunks of samples go forward and backward. Tiles: each task owns columns of one
/// tensor's gradient and adds up the samples' in their order. Same bits for every number of threads.
class GraphGradient {
 public:
  GraphGradient(const Architecture& architecture, Likelihood likelihood, std::size_t max_batch,
                const Context& context, OutputHeads heads);
  ~GraphGradient();

  double compute(const Network& network, MatrixView<const float> inputs, MatrixView<const float> targets,
                 std::span<float> gradient);
  void forward(const Network& network, MatrixView<const float> inputs, MatrixView<float> outputs);
  void name_rows(std::span<const std::uint64_t> samples);
  const Context& context() const { return context_; }

 private:
  struct Worker;
  /// Columns of a matrix of weights and the layers that use it.
  struct Tile {
    std::size_t tensor;
    std::vector<std::size_t> nodes;
    std::size_t strip_begin, strip_end;
  };

  /// What gradients need and outputs alone do not.
  void allocate_kept();
  void make_tiles();
  /// body(first row, rows, worker) for every chunk of a batch.
  template <class Body>
  void for_chunks(std::size_t batch, const Body& body);
  void forward_chunk(MatrixView<const float> inputs, std::size_t first, std::size_t count, Worker& worker);
  double backward_chunk(MatrixView<const float> targets, std::size_t first, std::size_t count,
                        Worker& worker);
  void matrix_gradient(const Tile& tile, std::size_t batch, std::span<float> gradient, Worker& worker);
  void vector_gradient(std::size_t tensor, std::size_t batch, std::span<float> gradient);
  kernels::Strips activation(std::size_t value, std::size_t first, std::size_t count, Worker& worker);
  kernels::Strips delta(std::size_t value, std::size_t first, std::size_t count, Worker& worker);

  Architecture architecture_;
  Likelihood likelihood_;
  const Context& context_;
  OutputHeads heads_;
  GraphNetwork network_;
  GraphLayout layout_;
  std::size_t max_batch_;
  std::vector<StripBuffer> kept_activations_, kept_deltas_;  // of a batch, per value; empty: not kept
  AlignedBuffer<float> kept_gradients_;                      // [batch, vector elements]
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Tile> tiles_;
  std::vector<double> losses_;          // per chunk
  std::vector<std::uint64_t> samples_;  // names of a batch's rows
};

}  // namespace fisherdiag
