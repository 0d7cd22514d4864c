// One block of samples through the network and into the sum.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/packed_network.hpp"

namespace fisherdiag {

/// Adds blocks of samples to the un-normalised sum of squared per-sample gradients.
///
/// Two parallel phases per block. Rows: chunks of samples go forward, get their seeds and go backward, leaving the
/// squared activations A^2 and the squared sensitivities Q = sum_k d_k^2 of every layer. Tiles: each task owns a
/// rectangle of one layer's F and adds Q^T A^2 to it, one chain of kChain samples after the other. Each element of F
/// sees the samples in one order whatever the number of threads or rows per block, so its bits do not depend on them.
class BlockPass {
 public:
  /// `block_rows` must be a multiple of chain_rows().
  BlockPass(const Network& network, const Estimator& estimator, Likelihood likelihood, std::size_t block_rows,
            const Context& context);
  ~BlockPass();

  /// Samples summed in one float chain: kChain, or for batched the batch.
  static std::size_t chain_rows(const Estimator& estimator);
  /// Bytes a pass with `block_rows` allocates, result included.
  static std::size_t bytes(const Architecture& architecture, const Estimator& estimator, Likelihood likelihood,
                           std::size_t block_rows, const Context& context);

  /// Adds inputs.rows <= block_rows samples. Every block but the last must be full.
  void add(MatrixView<const float> inputs, MatrixView<const float> targets, std::span<const std::uint64_t> samples);

  /// The sum, in parameter order. Frees everything else.
  AlignedBuffer<double> take_sum();

 private:
  struct Worker;
  struct Tile {
    std::size_t layer;
    kernels::OuterRange range;
  };

  void make_tiles();
  void rows_phase(std::size_t first, std::size_t count, Worker& worker, MatrixView<const float> inputs,
                  MatrixView<const float> targets, std::span<const std::uint64_t> samples);
  void seeds_and_backward(std::size_t first, std::size_t offset, std::size_t count, Worker& worker,
                          MatrixView<const float> targets, std::span<const std::uint64_t> samples);
  void write_top(std::size_t first, std::size_t count, Worker& worker);
  kernels::Strips activation(std::size_t l, std::size_t first, std::size_t offset, std::size_t count, Worker& worker);
  void back_propagate(std::size_t first, std::size_t offset, std::size_t group_rows, std::size_t groups,
                      bool overwrite, Worker& worker);
  void tile_phase(const Tile& tile, std::size_t rows);
  void add_bias(const Tile& tile, const kernels::ConstStrips& left, double scale);

  const Architecture& architecture_;
  const Context& context_;
  Estimator estimator_;
  std::size_t chain_;
  std::size_t group_rows_;
  std::size_t group_columns_;
  PackedNetwork packed_;
  std::vector<StripBuffer> inputs_;   // per layer: A^2 (batched: A)
  std::vector<StripBuffer> outputs_;  // per layer: Q (batched: D)
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Tile> tiles_;
  AlignedBuffer<double> sum_;
};

}  // namespace fisherdiag
