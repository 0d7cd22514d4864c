#include "fisherdiag/fisher/block_pass.hpp"

#include <algorithm>

#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/fisher/block_pass_worker.hpp"

namespace fisherdiag {

using block_rows::Groups;
using block_rows::kChunkRows;
using block_rows::product_flops;
using block_rows::round_up;

namespace {

/// Samples of a chunk where all weights stay in the cache beside it.
constexpr std::size_t kSmallChunkRows = 128;
/// Rows of a tile of F at most: wide and short, so that the rows' operand stays in the second-level cache
/// while the columns' one passes through it once.
constexpr std::size_t kTileRows = 64;
/// Beside its products a row makes the list of its elements that are not zero, and a column comes from the
/// last-level cache. Fitted to 784-256-256-10 in tiles of 32 to 128 x 200 to 784.
TileRules tile_rules(std::size_t lanes) {
  return {16, lanes, kTileRows, 1152, 40, 4};
}
/// Rows (samples x seeds) back-propagated together: their sensitivities stay in the second-level cache.
constexpr std::size_t kDeltaRows = 256;
constexpr std::size_t kMostGroups = 32;

Groups choose_groups(std::size_t seeds) {
  const std::size_t columns = std::clamp<std::size_t>(seeds, 1, kMostGroups);
  const std::size_t rows = kDeltaRows / columns / kernels::kRowTile * kernels::kRowTile;
  return {std::clamp(rows, kernels::kRowTile, kChunkRows), columns};
}

/// A model whose F fits the second-level cache beside a chunk of samples is summed chain by chain, one thread
/// each.
constexpr std::size_t kMostPartialBytes = std::size_t{256} << 10;

/// Floats of one chain's partial F: rows padded to whole vectors.
std::size_t partial_floats(const Architecture& architecture, std::size_t lanes) {
  std::size_t total = 0;
  for (const LinearLayer& layer : architecture.layers())
    total += layer.outputs * round_up(layer.inputs, lanes);
  return total;
}

bool sums_by_chain(const Architecture& architecture, const Estimator& estimator, std::size_t lanes) {
  return estimator.kind != EstimatorKind::Batched &&
         partial_floats(architecture, lanes) * sizeof(float) <= kMostPartialBytes;
}

/// Rows of a chunk: as many as `most`, but equal parts for all threads.
std::size_t chunk_rows(std::size_t rows, std::size_t threads, std::size_t most) {
  const std::size_t chunks = threads * ((rows + threads * most - 1) / (threads * most));
  return std::clamp(round_up((rows + chunks - 1) / chunks, kernels::kRowTile), kernels::kRowTile, most);
}

/// Small chunks leave less to wait for at the end. Where weights come from beyond the second-level cache,
/// once for each chunk, they would cost more than that: 784-4096-4096-10 a tenth.
std::size_t most_chunk_rows(const Architecture& architecture, std::size_t lanes) {
  constexpr std::size_t kNearWeights = std::size_t{2} << 20;
  return PackedNetwork::bytes(architecture, lanes) <= kNearWeights ? kSmallChunkRows : kChunkRows;
}

PassTrack* track_of(PassProfile* profile, std::size_t worker) {
  return profile ? &profile->track(worker) : nullptr;
}

}  // namespace

BlockPass::BlockPass(const Network& network, const Estimator& estimator, Likelihood likelihood,
                     std::size_t block_rows, const Context& context, PassProfile* profile, bool skip_zeros,
                     std::size_t section_rows, bool squares)
    : FisherPass(network.parameters().size(), section_rows),
      architecture_(network.architecture()),
      context_(context),
      profile_(profile),
      estimator_(estimator),
      chain_(chain_rows(estimator)),
      packed_(network.architecture(), context) {
  const Groups groups = choose_groups(seed_columns(estimator, likelihood, architecture_.outputs()));
  chunk_rows_ = most_chunk_rows(architecture_, packed_.kernels().lanes);
  group_rows_ = groups.rows;
  group_columns_ = groups.columns;
  const std::int64_t packing = profile_ ? PassProfile::now() : 0;
  packed_.pack(network, context);
  if (profile_) profile_->add_to_all({PassPhase::Pack, 0, packing, PassProfile::now()});
  const std::size_t lanes = packed_.kernels().lanes;
  const bool by_chain = sums_by_chain(architecture_, estimator, lanes);
  const std::size_t kept_rows =
      by_chain ? kSmallChunkRows * static_cast<std::size_t>(context.threads()) : block_rows;
  for (const LinearLayer& layer : architecture_.layers()) {
    inputs_.emplace_back(kept_rows, layer.inputs, lanes);
    outputs_.emplace_back(kept_rows, layer.outputs, lanes);
  }
  if (by_chain) partials_ = ChainPartials(architecture_, block_rows / chain_, lanes);
  if (squares) squares_ = SquareSums(architecture_, kept_rows, by_chain ? block_rows / chain_ : 0, lanes);
  for (int w = 0; w < context.threads(); ++w)
    workers_.push_back(std::make_unique<Worker>(architecture_, estimator, likelihood, groups,
                                                packed_.kernels(),
                                                track_of(profile_, static_cast<std::size_t>(w)), skip_zeros));
  tiles_ = cut_fisher(architecture_.layers(), tile_rules(lanes), static_cast<std::size_t>(context.threads()));
}

BlockPass::~BlockPass() = default;

std::size_t BlockPass::chain_rows(const Estimator& estimator) {
  return estimator.kind == EstimatorKind::Batched ? estimator.batch_size : kernels::kChain;
}

std::size_t BlockPass::rows_per_thread(const Architecture& architecture, const Estimator& estimator,
                                       const Context& context) {
  constexpr std::size_t kByChain = 4096, kByTile = 1024;
  return sums_by_chain(architecture, estimator, kernels::kernel_table(context.isa()).lanes) ? kByChain
                                                                                            : kByTile;
}

std::size_t BlockPass::bytes(const Architecture& architecture, const Estimator& estimator,
                             Likelihood likelihood, std::size_t block_rows, const Context& context) {
  const std::size_t lanes = kernels::kernel_table(context.isa()).lanes;
  const Groups groups = choose_groups(seed_columns(estimator, likelihood, architecture.outputs()));
  std::size_t total = aligned_bytes(architecture.parameter_count() * sizeof(double)) +
                      PackedNetwork::bytes(architecture, lanes);
  const bool by_chain = sums_by_chain(architecture, estimator, lanes);
  const std::size_t kept_rows =
      by_chain ? kSmallChunkRows * static_cast<std::size_t>(context.threads()) : block_rows;
  for (const LinearLayer& layer : architecture.layers())
    total += StripBuffer::bytes(kept_rows, layer.inputs, lanes) +
             StripBuffer::bytes(kept_rows, layer.outputs, lanes);
  if (by_chain) total += ChainPartials::bytes(architecture, block_rows / chain_rows(estimator), lanes);
  return total + static_cast<std::size_t>(context.threads()) *
                     Worker::bytes(architecture, estimator, likelihood, groups, lanes);
}

std::size_t BlockPass::bytes_with_squares(const Architecture& architecture, const Estimator& estimator,
                                          Likelihood likelihood, std::size_t block_rows,
                                          const Context& context) {
  const std::size_t lanes = kernels::kernel_table(context.isa()).lanes;
  const bool by_chain = sums_by_chain(architecture, estimator, lanes);
  const std::size_t kept_rows =
      by_chain ? kSmallChunkRows * static_cast<std::size_t>(context.threads()) : block_rows;
  return bytes(architecture, estimator, likelihood, block_rows, context) +
         SquareSums::bytes(architecture, kept_rows, by_chain ? block_rows / chain_rows(estimator) : 0, lanes);
}

void BlockPass::add(MatrixView<const float> inputs, MatrixView<const float> targets,
                    std::span<const std::uint64_t> samples, std::span<const float> weights,
                    MatrixView<double> traces) {
  weights_ = weights;
  traces_ = traces;
  if (!partials_.empty()) return add_by_chain(inputs, targets, samples);
  {
    const PassRegionTimer region(profile_, PassRegion::Rows);
    const std::size_t step =
        chunk_rows(inputs.rows, static_cast<std::size_t>(context_.threads()), chunk_rows_);
    context_.parallel_for((inputs.rows + step - 1) / step, [&](std::size_t chunk, std::size_t worker) {
      const FlushDenormals flush;
      const std::size_t first = chunk * step;
      rows_phase({first, first}, std::min(step, inputs.rows - first), *workers_[worker], inputs, targets,
                 samples);
    });
  }
  const PassRegionTimer region(profile_, PassRegion::Tiles);
  context_.parallel_for(tiles_.size(), [&](std::size_t tile, std::size_t worker) {
    const FlushDenormals flush;
    tile_phase(tiles_[tile], inputs.rows, worker);
  });
  sums_.advance(inputs.rows);
}

/// A chain's samples go through the network on one thread, chunk after chunk, and into that chain's own
/// partial F, so nothing leaves the second-level cache; then the partial sums are added to F in the order of
/// the chains.
void BlockPass::add_by_chain(MatrixView<const float> inputs, MatrixView<const float> targets,
                             std::span<const std::uint64_t> samples) {
  const std::size_t chains = (inputs.rows + chain_ - 1) / chain_;
  {
    const PassRegionTimer region(profile_, PassRegion::Rows);
    context_.parallel_for(chains, [&](std::size_t chain, std::size_t worker) {
      const FlushDenormals flush;
      const std::size_t begin = chain * chain_, end = std::min(begin + chain_, inputs.rows);
      for (std::size_t row = begin; row < end; row += kSmallChunkRows) {
        const std::size_t slot = worker * kSmallChunkRows, count = std::min(kSmallChunkRows, end - row);
        rows_phase({row, slot}, count, *workers_[worker], inputs, targets, samples);
        for (std::size_t l = 0; l < inputs_.size(); ++l) {
          const PassTimer timer(workers_[worker]->track, PassPhase::Accumulate, l,
                                product_flops(architecture_.layers()[l], count));
          partials_.add(packed_.kernels(), chain, l, outputs_[l].rows(slot, count),
                        inputs_[l].rows(slot, count), row == begin, workers_[worker]->scratch());
          if (!squares_.empty())
            squares_.add_to_chain(packed_.kernels(), chain, l, slot, count, row == begin,
                                  workers_[worker]->scratch());
        }
      }
    });
  }
  const PassRegionTimer region(profile_, PassRegion::Tiles);
  context_.parallel_for(partials_.slices(), [&](std::size_t slice, std::size_t worker) {
    const PassTimer timer(workers_[worker]->track, PassPhase::Merge);
    partials_.add_slice_to(slice, inputs.rows, chain_, architecture_, sums_);
    if (!squares_.empty()) squares_.add_slice(slice, inputs.rows, chain_, architecture_);
  });
  sums_.advance(inputs.rows);
}

/// Multiplies and adds of `rows` rows in a tile.
double BlockPass::tile_flops(const FisherTile& tile, std::size_t rows) const {
  const std::size_t lanes = packed_.kernels().lanes, inputs = architecture_.layers()[tile.layer].inputs;
  const std::size_t columns = std::min(tile.range.strip_end * lanes, inputs) - tile.range.strip_begin * lanes;
  return 2.0 * static_cast<double>((tile.range.row_end - tile.range.row_begin) * columns) *
         static_cast<double>(rows);
}

void BlockPass::tile_phase(const FisherTile& tile, std::size_t rows, std::size_t worker) {
  const kernels::KernelTable& k = packed_.kernels();
  const std::size_t inputs = architecture_.layers()[tile.layer].inputs;
  double* fisher = sums_.data() + architecture_.weight_offset(tile.layer);
  const PassTimer timer(workers_[worker]->track, PassPhase::Accumulate, tile.layer, tile_flops(tile, rows));
  for (std::size_t first = 0; first < rows; first += chain_) {
    const std::size_t count = std::min(chain_, rows - first);
    const kernels::ConstStrips left = outputs_[tile.layer].rows(first, count);
    const kernels::ConstStrips right = inputs_[tile.layer].rows(first, count);
    if (estimator_.kind == EstimatorKind::Batched) {
      const double mean = 1.0 / static_cast<double>(count);
      const auto weight = static_cast<float>(mean * mean);
      k.gram_squared({left, right, count, &weight, tile.range, fisher, inputs});
      if (tile.range.strip_begin == 0) add_bias(tile, left, mean * mean);
    } else {
      k.squared_outer_skip(left, right, tile.range, fisher, inputs, workers_[worker]->scratch());
      if (tile.range.strip_begin == 0) add_bias(tile, left, 0);
      if (!squares_.empty())
        squares_.add(k, tile.layer, tile.range, first, count, workers_[worker]->scratch());
    }
    if (sums_.ends_at(first + count)) fold_section(tile);
  }
}

void BlockPass::fold_section(const FisherTile& tile) {
  const std::size_t lanes = packed_.kernels().lanes, inputs = architecture_.layers()[tile.layer].inputs;
  const std::size_t begin = tile.range.strip_begin * lanes;
  const std::size_t count = std::min(tile.range.strip_end * lanes, inputs) - begin;
  for (std::size_t row = tile.range.row_begin; row < tile.range.row_end; ++row) {
    sums_.fold(architecture_.weight_offset(tile.layer) + row * inputs + begin, count);
    if (begin == 0) sums_.fold(architecture_.bias_offset(tile.layer) + row, 1);
  }
}

/// The bias's input is 1, so its column of F is a column sum. A tile of the first strip does it for its rows.
void BlockPass::add_bias(const FisherTile& tile, const kernels::ConstStrips& left, double scale) {
  const std::size_t lanes = packed_.kernels().lanes, begin = tile.range.row_begin;
  const std::size_t count = tile.range.row_end - begin;
  const kernels::ConstStrips own{left.data + begin / lanes * left.stride, left.rows, count, left.stride};
  double* fisher = sums_.data() + architecture_.bias_offset(tile.layer) + begin;
  if (estimator_.kind != EstimatorKind::Batched) return packed_.kernels().column_sums(own, false, fisher);
  double sums[kTileRows] = {};
  packed_.kernels().column_sums(own, false, sums);
  for (std::size_t o = 0; o < count; ++o) fisher[o] += scale * sums[o] * sums[o];
}

}  // namespace fisherdiag
