// One block of samples through the network and into the sum.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/fisher/chain_partials.hpp"
#include "fisherdiag/fisher/fisher_tiles.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/profile.hpp"
#include "fisherdiag/fisher/square_sums.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/packed_network.hpp"

namespace fisherdiag {

/// Adds blocks of samples to the un-normalised sum of squared per-sample gradients.
///
/// Two parallel phases per block (a small F: see add_by_chain). Rows: chunks of samples go forward, get their
/// seeds and go backward, leaving the squared activations A^2 and the squared sensitivities Q = sum_k d_k^2
/// of every layer. Tiles: each task owns a rectangle of one layer's F and adds Q^T A^2 to it, one chain of
/// kChain samples after the other. Each element of F sees the samples in one order whatever the number of
/// threads or rows per block, so its bits do not depend on them.
class BlockPass : public FisherPass {
 public:
  /// `block_rows` must be a multiple of chain_rows(). `profile`, if given, must have context.threads() tracks
  /// or more and outlive the pass. `skip_zeros`: FisherOptions::skip_zeros. `section_rows`: a multiple of
  /// chain_rows().
  /// `squares`: take_squares() is wanted; not for batched.
  BlockPass(const Network& network, const Estimator& estimator, Likelihood likelihood, std::size_t block_rows,
            const Context& context, PassProfile* profile = nullptr, bool skip_zeros = true,
            std::size_t section_rows = 0, bool squares = false);
  ~BlockPass() override;

  /// Samples summed in one float chain: kChain, or for batched the batch.
  static std::size_t chain_rows(const Estimator& estimator);
  /// Rows of a block for each thread: where F is small more, because synchronisations must not show;
  /// elsewhere fewer, because what the two phases hand on should stay in the caches.
  static std::size_t rows_per_thread(const Architecture& architecture, const Estimator& estimator,
                                     const Context& context);
  /// Bytes a pass with `block_rows` allocates, its sums included.
  static std::size_t bytes(const Architecture& architecture, const Estimator& estimator,
                           Likelihood likelihood, std::size_t block_rows, const Context& context);
  /// The same for a pass of which squares are wanted.
  static std::size_t bytes_with_squares(const Architecture& architecture, const Estimator& estimator,
                                        Likelihood likelihood, std::size_t block_rows,
                                        const Context& context);

  /// Adds inputs.rows <= block_rows samples. Every block but the last must be a multiple of chain_rows().
  /// weights: empty, or of each sample's squared gradient (SeedBlock::prepare). traces: no rows, or [rows,
  /// layers] to be filled with the sum of what each sample adds to each layer; not for batched.
  void add(MatrixView<const float> inputs, MatrixView<const float> targets,
           std::span<const std::uint64_t> samples, std::span<const float> weights = {},
           MatrixView<double> traces = {}) override;
  AlignedBuffer<double> take_squares() override { return squares_.take(); }

 private:
  struct Worker;
  /// Where a chunk starts: its row in the block, and the row its squares are kept at.
  struct Place {
    std::size_t row, kept;
  };
  void add_by_chain(MatrixView<const float> inputs, MatrixView<const float> targets,
                    std::span<const std::uint64_t> samples);
  void rows_phase(Place place, std::size_t count, Worker& worker, MatrixView<const float> inputs,
                  MatrixView<const float> targets, std::span<const std::uint64_t> samples);
  void seeds_and_backward(Place place, std::size_t offset, std::size_t count, Worker& worker,
                          MatrixView<const float> targets, std::span<const std::uint64_t> samples);
  void prepare_seeds(Place place, std::size_t offset, std::size_t count, Worker& worker,
                     MatrixView<const float> targets, std::span<const std::uint64_t> samples);
  void write_seeds(std::size_t k0, std::size_t groups, std::size_t group_rows, std::size_t count,
                   Worker& worker);
  void write_traces(Place place, std::size_t count);
  void write_top(std::size_t first, std::size_t count, Worker& worker);
  kernels::Strips activation(std::size_t l, std::size_t first, std::size_t offset, std::size_t count,
                             Worker& worker);
  void back_propagate(std::size_t first, std::size_t offset, std::size_t group_rows, std::size_t groups,
                      bool overwrite, Worker& worker);
  double tile_flops(const FisherTile& tile, std::size_t rows) const;
  void tile_phase(const FisherTile& tile, std::size_t rows, std::size_t worker);
  void fold_section(const FisherTile& tile);
  void add_bias(const FisherTile& tile, const kernels::ConstStrips& left, double scale);

  const Architecture& architecture_;
  const Context& context_;
  PassProfile* profile_;
  Estimator estimator_;
  std::size_t chain_;
  std::size_t chunk_rows_;  // at most, of one task
  std::size_t group_rows_;
  std::size_t group_columns_;
  PackedNetwork packed_;
  std::vector<StripBuffer> inputs_;   // per layer: A^2 (batched: A)
  std::vector<StripBuffer> outputs_;  // per layer: Q (batched: D)
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<FisherTile> tiles_;
  ChainPartials partials_;          // empty unless F is small
  SquareSums squares_;              // empty unless wanted
  std::span<const float> weights_;  // of the block that is being added
  MatrixView<double> traces_;       // the same
};

}  // namespace fisherdiag
