// The pass with products of bfloat16 operands and float32 sums.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/fisher/fisher_tiles.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/profile.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/bf16_network.hpp"

namespace fisherdiag {

/// What BlockPass does, in the same two phases, where every operand of a matrix product is rounded to
/// bfloat16: inputs, weights, activations, sensitivities, and the squares the accumulation multiplies. Sums,
/// biases, logits, likelihood and seeds are float32, F is double (docs/numerics.md). Results depend on the
/// unit, not on threads or rows per block.
///
/// Products are taken with samples as columns, so that what one leaves is what the next reads without a
/// transposition: only the squares that the accumulation needs along the samples are turned, in registers.
class Bf16Pass : public FisherPass {
 public:
  /// Rows of a block for each thread: two synchronisations per block must not show.
  static constexpr std::size_t kRowsPerThread = 2048;

  /// `block_rows` must be a multiple of chain_rows(); no estimator that adds gradients before squaring
  /// (batched).
  Bf16Pass(const Network& network, const Estimator& estimator, Likelihood likelihood, std::size_t block_rows,
           const Context& context, const kernels::Bf16Kernels& kernels, PassProfile* profile = nullptr,
           std::size_t section_rows = 0);
  ~Bf16Pass() override;

  /// Samples summed in one float32 chain.
  static std::size_t chain_rows() { return kernels::kBf16Chain; }
  /// Bytes a pass with `block_rows` allocates, its sums included.
  static std::size_t bytes(const Architecture& architecture, const Estimator& estimator,
                           Likelihood likelihood, std::size_t block_rows, const Context& context);

  void add(MatrixView<const float> inputs, MatrixView<const float> targets,
           std::span<const std::uint64_t> samples, std::span<const float> weights = {},
           MatrixView<double> traces = {}) override;

 private:
  struct Worker;
  struct Block;  // what add() was given
  void rows_phase(std::size_t first, std::size_t count, Worker& worker, const Block& block);
  void forward(std::size_t first, std::size_t count, Worker& worker);
  void prepare_seeds(std::size_t first, std::size_t offset, std::size_t count, Worker& worker,
                     const Block& block);
  void write_seeds(std::size_t k0, std::size_t groups, std::size_t count, Worker& worker);
  void back_propagate(std::size_t first, std::size_t offset, std::size_t count, std::size_t k0,
                      std::size_t groups, Worker& worker);
  void write_traces(std::size_t first, std::size_t count, Worker& worker, MatrixView<double> traces);
  void tile_phase(const FisherTile& tile, std::size_t rows, Worker& worker);
  void fold_section(const FisherTile& tile);
  double tile_flops(const FisherTile& tile, std::size_t rows) const;

  const Architecture& architecture_;
  const Context& context_;
  PassProfile* profile_;
  std::size_t chunk_rows_;
  std::size_t group_rows_, group_columns_;
  Bf16Network packed_;
  std::vector<Bf16PairBuffer> inputs_;   // per layer: A^2, [inputs vectors, samples]
  std::vector<Bf16LineBuffer> outputs_;  // per layer: Q, [outputs vectors, samples]
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<FisherTile> tiles_;
};

}  // namespace fisherdiag
