// One block of samples through a graph and into the sum.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fisherdiag/fisher/graph_layout.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/nn/graph_network.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

/// Adds blocks of samples to the un-normalised sum of squared per-sample gradients of a graph.
///
/// Two parallel phases per block. Rows: chunks of samples go forward, get their seeds and go backward, seed
/// after seed. A layer with a small F beside large values (GraphLayout::is_near) has its samples' squared
/// gradients added to a sum of the chunk's own on the way back; of the others the inputs and their outputs'
/// sensitivities are left, and each sample's squared gradients of all small tensors. Tiles: each task owns
/// columns of one layer's F and adds the chunks' sums, or the squares of its samples' gradients, which are
/// summed over positions and over the layers that share the tensor first. No per-sample gradient of a matrix
/// is ever stored. Each element of F sees the samples in one order whatever the number of threads or rows per
/// block, so its bits do not depend on them.
class GraphPass : public FisherPass {
 public:
  /// `block_rows`: as GraphLayout says. Throws UnsupportedError for tensors shared between layers of
  /// different kinds. `profile`: nullptr, or as BlockPass; layers are counted as Graph::nodes().
  /// `skip_zeros`: FisherOptions::skip_zeros. `section_rows`: a multiple of the chain, or 0. `squares`:
  /// take_squares() is wanted; not for batched.
  GraphPass(const Network& network, const Estimator& estimator, Likelihood likelihood, std::size_t block_rows,
            const Context& context, PassProfile* profile = nullptr, bool skip_zeros = true,
            std::size_t section_rows = 0, bool squares = false);
  ~GraphPass() override;

  /// Bytes a pass with `block_rows` allocates, its sums included.
  static std::size_t bytes(const Architecture& architecture, const Estimator& estimator,
                           Likelihood likelihood, std::size_t block_rows, const Context& context);
  /// The same for a pass of which squares are wanted.
  static std::size_t bytes_with_squares(const Architecture& architecture, const Estimator& estimator,
                                        Likelihood likelihood, std::size_t block_rows,
                                        const Context& context);

  /// As FisherPass, traces of the layers of trace_parts(). Sums of matrices are kept as their operation
  /// orders them.
  void add(MatrixView<const float> inputs, MatrixView<const float> targets,
           std::span<const std::uint64_t> samples, std::span<const float> weights = {},
           MatrixView<double> traces = {}) override;
  AlignedBuffer<double> take_sum() override { return in_parameter_order(sums_.take()); }
  AlignedBuffer<double> take_squares() override;
  AlignedBuffer<double> take_section() override { return in_parameter_order(sums_.take_running()); }

 private:
  struct Worker;
  /// The samples of a block.
  struct Block {
    MatrixView<const float> inputs, targets;
    std::span<const std::uint64_t> samples;
    std::span<const float> weights;
    MatrixView<double> traces;
  };
  /// Columns of a matrix of weights and the layers that use it.
  struct Tile {
    std::size_t tensor;
    std::vector<std::size_t> nodes;
    std::size_t strip_begin, strip_end;
  };

  /// What a tile has of its tensor's sums: the first one, rows, numbers in a whole row, numbers of a row that
  /// are the tile's, and the same filled up to whole vectors.
  struct Columns {
    std::size_t offset, rows, all, count, stride;
  };

  static std::size_t bytes_of(const Architecture& architecture, const Estimator& estimator,
                              Likelihood likelihood, std::size_t block_rows, const Context& context,
                              bool squares);
  void make_tiles();
  void rows_phase(const Block& block, std::size_t first, std::size_t count, std::size_t seed_begin,
                  std::size_t seed_end, Worker& worker);
  void forward(const Block& block, std::size_t first, std::size_t count, Worker& worker);
  void backward(std::size_t first, std::size_t count, std::size_t seed, Worker& worker);
  void clear_near(std::size_t first);
  OpAccumulate near_request(std::size_t node, std::size_t first, std::size_t begin, std::size_t count,
                            Worker& worker);
  void add_near(std::size_t node, std::size_t first, std::size_t count, Worker& worker);
  void add_near_squares(std::size_t first, std::size_t count, std::size_t seeds, Worker& worker);
  void add_chunks(const Tile& tile, std::size_t rows, bool last);
  void keep_gradients(std::size_t first, std::size_t count, bool overwrite, Worker& worker);
  kernels::Strips activation(std::size_t value, std::size_t first, std::size_t count, Worker& worker);
  kernels::Strips delta(std::size_t value, std::size_t seed, std::size_t first, std::size_t count,
                        Worker& worker);
  OpAccumulate request(const Tile& tile, std::size_t node, std::size_t first, std::size_t count,
                       Worker& worker);
  void add_tile(const Tile& tile, std::size_t rows, std::size_t seeds, bool last, Worker& worker);
  void add_chain(const Tile& tile, std::size_t first, std::size_t end, std::size_t seeds, Worker& worker);
  void fold_section(const Tile& tile);
  void add_summed(const Tile& tile, std::size_t first, std::size_t count, std::size_t seed, Worker& worker);
  Columns columns_of(const Tile& tile) const;
  void form_gradient(const Tile& tile, std::size_t first, std::size_t count, std::size_t seed,
                     Worker& worker);
  void add_squares(const Tile& tile, std::size_t begin, std::size_t end, std::size_t seeds, Worker& worker);
  void add_vector_squares(std::size_t parameter, std::size_t e, std::size_t first, std::size_t count);
  void add_vectors(std::size_t begin, std::size_t end, std::size_t rows, bool last);
  double* tile_traces(const Tile& tile, std::size_t first);
  void trace_vectors(MatrixView<double> traces, std::size_t first, std::size_t count) const;
  void trace_tiles(MatrixView<double> traces) const;
  AlignedBuffer<double> in_parameter_order(AlignedBuffer<double> sum) const;

  const Architecture& architecture_;
  const Context& context_;
  PassProfile* profile_;
  Estimator estimator_;
  GraphNetwork network_;
  GraphLayout layout_;
  std::size_t block_rows_;
  ValueStore kept_activations_, kept_deltas_;
  AlignedBuffer<float> kept_gradients_;  // [block rows, vector elements], squared
  AlignedBuffer<double> near_sums_;      // [chunks, near elements]: each one's own
  AlignedBuffer<double> near_squares_;   // the same of squares_; empty unless wanted
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Tile> tiles_;
  std::vector<std::size_t> tasks_;        // tiles and, after them, pieces of the small tensors
  std::vector<std::size_t> first_tile_;   // per tensor
  std::vector<std::size_t> trace_parts_;  // per tensor
  AlignedBuffer<double> tile_traces_;     // [tiles, block rows]: a sample's trace within a tile
  bool traces_wanted_ = false;            // of the block that is being added
  AlignedBuffer<double> squares_;         // as sums_ in order, scaled (OpAccumulate); empty unless wanted
};

}  // namespace fisherdiag
