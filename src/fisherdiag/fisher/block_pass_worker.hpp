// What one thread of a BlockPass needs. Internal to fisher/.
#pragma once

#include <algorithm>
#include <vector>

#include "fisherdiag/fisher/block_pass.hpp"
#include "fisherdiag/nn/skip_buffer.hpp"

namespace fisherdiag {

namespace block_rows {

/// Samples one task takes forward and backward: enough that a weight fetched from memory is used often.
inline constexpr std::size_t kChunkRows = 256;

/// How the seeds of a chunk are cut: `columns` seeds of `rows` samples at a time.
struct Groups {
  std::size_t rows, columns;
};

inline std::size_t widest(const Architecture& architecture) {
  std::size_t width = 0;
  for (const LinearLayer& layer : architecture.layers()) width = std::max(width, layer.outputs);
  return width;
}

/// Multiplies and adds of `rows` rows against all weights of a layer.
inline double product_flops(const LinearLayer& layer, std::size_t rows) {
  return 2.0 * static_cast<double>(layer.inputs) * static_cast<double>(layer.outputs) *
         static_cast<double>(rows);
}

inline std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

}  // namespace block_rows

/// What one thread needs for a chunk of rows.
struct BlockPass::Worker {
  Worker(const Architecture& architecture, const Estimator& estimator, Likelihood likelihood,
         block_rows::Groups groups, const kernels::KernelTable& kernels, PassTrack* own_track,
         bool skip_zeros)
      : track(own_track), seeds(estimator, likelihood, architecture.outputs(), kernels) {
    activations.emplace_back(block_rows::kChunkRows, architecture.inputs(), kernels.lanes);
    for (const LinearLayer& layer : architecture.layers())
      activations.emplace_back(block_rows::kChunkRows, layer.outputs, kernels.lanes);
    const std::size_t width =
        architecture.layers().size() > 1 ? block_rows::widest(architecture) : architecture.outputs();
    for (StripBuffer& d : delta) d = StripBuffer(groups.rows * groups.columns, width, kernels.lanes);
    if (architecture.outputs() > kernels.lanes) {
      logits = AlignedBuffer<float>(groups.rows * architecture.outputs());
      seed_rows = AlignedBuffer<float>(groups.rows * architecture.outputs());
    }
    if (skip_zeros) skip = SkipBuffer(architecture, kernels.lanes);
  }

  static std::size_t bytes(const Architecture& architecture, const Estimator& estimator,
                           Likelihood likelihood, block_rows::Groups groups, std::size_t lanes) {
    std::size_t total = StripBuffer::bytes(block_rows::kChunkRows, architecture.inputs(), lanes);
    for (const LinearLayer& layer : architecture.layers())
      total += StripBuffer::bytes(block_rows::kChunkRows, layer.outputs, lanes);
    total += 2 * StripBuffer::bytes(groups.rows * groups.columns, block_rows::widest(architecture), lanes);
    const std::size_t outputs = architecture.outputs();
    if (outputs > lanes) total += 2 * aligned_bytes(groups.rows * outputs * sizeof(float));
    return total + SeedBlock::bytes(estimator, likelihood, outputs, groups.rows) +
           SkipBuffer::bytes(architecture, lanes);
  }

  kernels::SkipScratch scratch() { return skip.scratch(); }

  PassTrack* track;                      // where time is recorded; nullptr: nowhere
  std::vector<StripBuffer> activations;  // [0] the inputs, [l + 1] what layer l puts out
  StripBuffer delta[2];                  // sensitivities, taken in turn
  SeedBlock seeds;
  SkipBuffer skip;                         // empty: zeros are multiplied too
  AlignedBuffer<float> logits, seed_rows;  // row-major copies where a row spans several strips
};

}  // namespace fisherdiag
