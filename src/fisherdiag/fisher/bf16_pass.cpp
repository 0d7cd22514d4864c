#include "fisherdiag/fisher/bf16_pass.hpp"

#include <algorithm>
#include <utility>

#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/base/philox.hpp"

namespace fisherdiag {

namespace {

constexpr std::size_t kBlock = kernels::kBf16Block;
/// Samples one task takes forward and backward: enough that a weight fetched from memory is used often.
constexpr std::size_t kMostChunkRows = 512;
/// Rows (samples x seeds) back-propagated together, for the same reason.
constexpr std::size_t kDeltaRows = 640;
constexpr std::size_t kMostGroups = 32;

std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

/// Tiles of F whose sums wait in the second-level cache between pieces of depth.
TileRules tile_rules() {
  return {kBlock, kBlock, 8 * kBlock, 8 * kBlock, 16, 16};
}

/// Rows of a chunk: two for every thread at least, if the block has that many.
std::size_t choose_chunk(std::size_t block_rows, int threads) {
  const std::size_t tasks = 2 * static_cast<std::size_t>(threads);
  return std::clamp(round_up((block_rows + tasks - 1) / tasks, kBlock), kBlock, kMostChunkRows);
}

/// How the seeds of a chunk are cut: `columns` seeds of `rows` samples at a time.
struct Groups {
  std::size_t rows, columns;
};

Groups choose_groups(std::size_t seeds, std::size_t chunk_rows) {
  const std::size_t columns = std::clamp<std::size_t>(seeds, 1, kMostGroups);
  return {std::clamp(kDeltaRows / columns / kBlock * kBlock, kBlock, chunk_rows), columns};
}

bool has_stored_slope(Activation activation) {
  return activation == Activation::Tanh || activation == Activation::Sigmoid;
}

/// The widest sensitivities that one layer hands to the next.
std::size_t delta_width(const Architecture& architecture) {
  std::size_t width = architecture.outputs();
  for (std::size_t l = 1; l + 1 < architecture.layers().size(); ++l)
    width = std::max(width, architecture.layers()[l].outputs);
  return width;
}

PassTrack* track_of(PassProfile* profile, std::size_t worker) {
  return profile ? &profile->track(worker) : nullptr;
}

double product_flops(const LinearLayer& layer, std::size_t rows) {
  return 2.0 * static_cast<double>(layer.inputs) * static_cast<double>(layer.outputs) *
         static_cast<double>(rows);
}

}  // namespace

struct Bf16Pass::Block {
  MatrixView<const float> inputs, targets;
  std::span<const std::uint64_t> samples;
  std::span<const float> weights;
  MatrixView<double> traces;
};

/// What one thread needs for a chunk of rows.
struct Bf16Pass::Worker {
  Worker(const Architecture& architecture, const Estimator& estimator, Likelihood likelihood,
         std::size_t chunk_rows, Groups groups, Isa isa, PassTrack* own_track)
      : track(own_track),
        seeds(estimator, likelihood, architecture.outputs(), kernels::kernel_table(isa)),
        dither(chunk_rows),
        logits(chunk_rows * architecture.outputs()),
        seed_rows(groups.rows * architecture.outputs()),
        scratch(kernels::kBf16ScratchFloats) {
    activations.emplace_back(chunk_rows, architecture.inputs());
    for (std::size_t l = 0; l + 1 < architecture.layers().size(); ++l) {
      const LinearLayer& layer = architecture.layers()[l];
      activations.emplace_back(chunk_rows, layer.outputs);
      slopes.push_back(has_stored_slope(layer.activation) ? Bf16PairBuffer(chunk_rows, layer.outputs)
                                                          : Bf16PairBuffer());
      sums.emplace_back(groups.columns > 1 ? sum_floats(layer, groups) : 0);
    }
    for (Bf16PairBuffer& d : delta)
      d = Bf16PairBuffer(groups.rows * groups.columns, delta_width(architecture));
  }

  static std::size_t sum_floats(const LinearLayer& layer, Groups groups) {
    return round_up(layer.outputs, kBlock) * groups.rows;
  }

  static std::size_t bytes(const Architecture& architecture, std::size_t chunk_rows, Groups groups) {
    std::size_t total = Bf16PairBuffer::bytes(chunk_rows, architecture.inputs());
    total += chunk_rows * sizeof(std::uint32_t);
    for (std::size_t l = 0; l + 1 < architecture.layers().size(); ++l) {
      const LinearLayer& layer = architecture.layers()[l];
      const std::size_t one = Bf16PairBuffer::bytes(chunk_rows, layer.outputs);
      total += has_stored_slope(layer.activation) ? 2 * one : one;
      if (groups.columns > 1) total += aligned_bytes(sum_floats(layer, groups) * sizeof(float));
    }
    total += 2 * Bf16PairBuffer::bytes(groups.rows * groups.columns, delta_width(architecture));
    // Logits and seeds, and about as much again inside SeedBlock.
    total += (chunk_rows + 4 * groups.rows) * architecture.outputs() * sizeof(float);
    return total + aligned_bytes(kernels::kBf16ScratchFloats * sizeof(float));
  }

  PassTrack* track;                         // where time is recorded; nullptr: nowhere
  std::vector<Bf16PairBuffer> activations;  // [0] the inputs, [l + 1] what layer l puts out
  std::vector<Bf16PairBuffer> slopes;       // [l] f' of layer l, where it is not told by the output's sign
  std::vector<AlignedBuffer<float>> sums;   // [l] squares of sensitivities between groups of seeds
  Bf16PairBuffer delta[2];                  // sensitivities, taken in turn
  SeedBlock seeds;
  std::vector<std::uint32_t> dither;  // of the samples, for rounding their inputs
  AlignedBuffer<float> logits, seed_rows;
  AlignedBuffer<float> scratch;
};

Bf16Pass::Bf16Pass(const Network& network, const Estimator& estimator, Likelihood likelihood,
                   std::size_t block_rows, const Context& context, const kernels::Bf16Kernels& kernels,
                   PassProfile* profile, std::size_t section_rows)
    : FisherPass(network.parameters().size(), section_rows),
      architecture_(network.architecture()),
      context_(context),
      profile_(profile),
      chunk_rows_(choose_chunk(block_rows, context.threads())) {
  const std::int64_t packing = PassProfile::now();
  packed_ = Bf16Network(network, kernels, context);
  if (profile_) profile_->add_to_all({PassPhase::Pack, 0, packing, PassProfile::now()});
  const Groups groups =
      choose_groups(seed_columns(estimator, likelihood, architecture_.outputs()), chunk_rows_);
  group_rows_ = groups.rows;
  group_columns_ = groups.columns;
  for (const LinearLayer& layer : architecture_.layers()) {
    inputs_.emplace_back(layer.inputs, block_rows);
    outputs_.emplace_back(layer.outputs, block_rows);
  }
  for (int w = 0; w < context.threads(); ++w)
    workers_.push_back(std::make_unique<Worker>(architecture_, estimator, likelihood, chunk_rows_, groups,
                                                context.isa(),
                                                track_of(profile_, static_cast<std::size_t>(w))));
  tiles_ = cut_fisher(architecture_.layers(), tile_rules(), static_cast<std::size_t>(context.threads()));
}

Bf16Pass::~Bf16Pass() = default;

std::size_t Bf16Pass::bytes(const Architecture& architecture, const Estimator& estimator,
                            Likelihood likelihood, std::size_t block_rows, const Context& context) {
  const std::size_t chunk_rows = choose_chunk(block_rows, context.threads());
  const Groups groups =
      choose_groups(seed_columns(estimator, likelihood, architecture.outputs()), chunk_rows);
  std::size_t total =
      aligned_bytes(architecture.parameter_count() * sizeof(double)) + Bf16Network::bytes(architecture);
  for (const LinearLayer& layer : architecture.layers())
    total +=
        Bf16PairBuffer::bytes(layer.inputs, block_rows) + Bf16LineBuffer::bytes(layer.outputs, block_rows);
  return total +
         static_cast<std::size_t>(context.threads()) * Worker::bytes(architecture, chunk_rows, groups);
}

void Bf16Pass::add(MatrixView<const float> inputs, MatrixView<const float> targets,
                   std::span<const std::uint64_t> samples, std::span<const float> weights,
                   MatrixView<double> traces) {
  const Block block{inputs, targets, samples, weights, traces};
  {
    const PassRegionTimer region(profile_, PassRegion::Rows);
    const std::size_t chunks = (inputs.rows + chunk_rows_ - 1) / chunk_rows_;
    context_.parallel_for(chunks, [&](std::size_t chunk, std::size_t worker) {
      const FlushDenormals flush;
      const std::size_t first = chunk * chunk_rows_;
      rows_phase(first, std::min(chunk_rows_, inputs.rows - first), *workers_[worker], block);
    });
  }
  const PassRegionTimer region(profile_, PassRegion::Tiles);
  context_.parallel_for(tiles_.size(), [&](std::size_t tile, std::size_t worker) {
    const FlushDenormals flush;
    tile_phase(tiles_[tile], inputs.rows, *workers_[worker]);
  });
  sums_.advance(inputs.rows);
}

void Bf16Pass::rows_phase(std::size_t first, std::size_t count, Worker& worker, const Block& block) {
  throw_if_stopped();
  {
    const PassTimer timer(worker.track, PassPhase::Strips);
    for (std::size_t n = 0; n < count; ++n)
      worker.dither[n] = RandomStream(0, random_stream::kDither, block.samples[first + n]).next_u32();
    kernels::Bf16PairsArguments pairs;
    pairs.source = block.inputs.row(first);
    pairs.source_stride = block.inputs.stride;
    pairs.target = worker.activations[0].vectors(0, count);
    pairs.squared = inputs_[0].depths(first, count);
    pairs.dither = worker.dither.data();
    packed_.kernels().pairs_from_rows(pairs);
  }
  forward(first, count, worker);
  for (std::size_t offset = 0; offset < count; offset += group_rows_) {
    const std::size_t rows = std::min(group_rows_, count - offset);
    prepare_seeds(first, offset, rows, worker, block);
    if (architecture_.layers().size() == 1) continue;
    for (std::size_t k0 = 0; k0 < worker.seeds.columns(); k0 += group_columns_) {
      throw_if_stopped();
      const std::size_t groups = std::min(group_columns_, worker.seeds.columns() - k0);
      write_seeds(k0, groups, rows, worker);
      back_propagate(first, offset, rows, k0, groups, worker);
    }
  }
  if (block.traces.rows) write_traces(first, count, worker, block.traces);
}

/// The sum of a sample's squared gradient of a layer factorises: (sum_o q_o) (1 + sum_i a_i^2), 1 for the
/// bias.
void Bf16Pass::write_traces(std::size_t first, std::size_t count, Worker& worker, MatrixView<double> traces) {
  const PassTimer timer(worker.track, PassPhase::Traces);
  // No product runs now, and a chunk is shorter than the scratch.
  float* q = worker.scratch.data();
  float* a = q + kMostChunkRows;
  for (std::size_t l = 0; l < architecture_.layers().size(); ++l) {
    packed_.kernels().line_depth_sums(outputs_[l].depths(first, count), q);
    packed_.kernels().pair_depth_sums(inputs_[l].depths(first, count), a);
    for (std::size_t n = 0; n < count; ++n)
      traces(first + n, l) = static_cast<double>(q[n]) * (1.0 + static_cast<double>(a[n]));
  }
}

void Bf16Pass::forward(std::size_t first, std::size_t count, Worker& worker) {
  const std::size_t layers = architecture_.layers().size();
  for (std::size_t l = 0; l < layers; ++l) {
    const PassTimer timer(worker.track, PassPhase::Forward, l,
                          product_flops(architecture_.layers()[l], count));
    kernels::Bf16ForwardArguments product;
    product.weight = packed_.forward(l);
    product.input = worker.activations[l].vectors(0, count);
    product.bias = packed_.bias(l);
    product.nonlinearity = packed_.nonlinearity(l);
    product.scratch = worker.scratch.data();
    if (l + 1 < layers) {
      product.output = worker.activations[l + 1].view();
      product.slope = worker.slopes[l].view();
      product.squared = inputs_[l + 1].depths(first, count);
    } else {
      product.values = worker.logits.data();
      product.values_stride = architecture_.outputs();
    }
    packed_.kernels().forward(product);
  }
}

/// Seeds of `count` rows from `offset` of the chunk at `first`, and the last layer's Q, which is a function
/// of the seeds.
void Bf16Pass::prepare_seeds(std::size_t first, std::size_t offset, std::size_t count, Worker& worker,
                             const Block& block) {
  const PassTimer timer(worker.track, PassPhase::Seeds);
  const std::size_t outputs = architecture_.outputs(), row = first + offset;
  const MatrixView<const float> targets =
      block.targets.rows
          ? MatrixView<const float>{block.targets.row(row), count, block.targets.cols, block.targets.stride}
          : block.targets;
  worker.seeds.prepare({worker.logits.data() + offset * outputs, count, outputs}, targets,
                       block.samples.subspan(row, count),
                       block.weights.empty() ? block.weights : block.weights.subspan(row, count));
  worker.seeds.write_squares({worker.seed_rows.data(), count, outputs});
  packed_.kernels().lines_from_columns(worker.seed_rows.data(), outputs, outputs_.back().depths(row, count));
}

/// Seeds [k0, k0 + groups), each a group of rows in whole blocks, where the backward pass starts.
void Bf16Pass::write_seeds(std::size_t k0, std::size_t groups, std::size_t count, Worker& worker) {
  const PassTimer timer(worker.track, PassPhase::Seeds);
  const std::size_t outputs = architecture_.outputs(), group_blocks = kernels::bf16_blocks(count);
  const kernels::Bf16Pairs all = worker.delta[0].shaped(groups * group_blocks * kBlock, outputs);
  for (std::size_t g = 0; g < groups; ++g) {
    worker.seeds.write(k0 + g, {worker.seed_rows.data(), count, outputs});
    kernels::Bf16PairsArguments pairs;
    pairs.source = worker.seed_rows.data();
    pairs.source_stride = outputs;
    pairs.target = {all.block(g * group_blocks, 0), count, outputs, all.stride};
    packed_.kernels().pairs_from_rows(pairs);
  }
}

void Bf16Pass::back_propagate(std::size_t first, std::size_t offset, std::size_t count, std::size_t k0,
                              std::size_t groups, Worker& worker) {
  const std::size_t rows = groups * kernels::bf16_blocks(count) * kBlock;
  for (std::size_t l = architecture_.layers().size() - 1, turn = 0; l > 0; --l, turn ^= 1) {
    const LinearLayer& layer = architecture_.layers()[l];
    const PassTimer timer(worker.track, PassPhase::Backward, l, product_flops(layer, groups * count));
    kernels::Bf16BackwardArguments product;
    product.weight = packed_.backward(l);
    product.delta = worker.delta[turn].shaped(rows, layer.outputs);
    product.nonlinearity = packed_.nonlinearity(l - 1);
    Bf16PairBuffer& stored = has_stored_slope(architecture_.layers()[l - 1].activation)
                                 ? worker.slopes[l - 1]
                                 : worker.activations[l];
    product.factor = stored.vectors(offset, count);
    if (l > 1) product.below = worker.delta[turn ^ 1].shaped(rows, layer.inputs);
    product.squared = outputs_[l - 1].depths(first + offset, count);
    product.sums = worker.sums[l - 1].data();
    product.groups = groups;
    product.first = k0 == 0;
    product.last = k0 + groups == worker.seeds.columns();
    product.scratch = worker.scratch.data();
    packed_.kernels().backward(product);
  }
}

double Bf16Pass::tile_flops(const FisherTile& tile, std::size_t rows) const {
  const LinearLayer& layer = architecture_.layers()[tile.layer];
  const std::size_t height = tile.range.row_end - tile.range.row_begin;
  const std::size_t width =
      std::min(tile.range.strip_end * kBlock, layer.inputs) - tile.range.strip_begin * kBlock;
  return 2.0 * static_cast<double>(height * width) * static_cast<double>(rows);
}

void Bf16Pass::tile_phase(const FisherTile& tile, std::size_t rows, Worker& worker) {
  const LinearLayer& layer = architecture_.layers()[tile.layer];
  const PassTimer timer(worker.track, PassPhase::Accumulate, tile.layer, tile_flops(tile, rows));
  const std::size_t begin = tile.range.row_begin, end = tile.range.row_end;
  for (std::size_t first = 0; first < rows; first += chain_rows()) {
    const std::size_t count = std::min(chain_rows(), rows - first);
    kernels::Bf16OuterArguments product;
    product.left = outputs_[tile.layer].depths(first, count);
    product.right = inputs_[tile.layer].depths(first, count);
    product.left_begin = begin / kBlock;
    product.left_end = kernels::bf16_blocks(end);
    product.right_begin = tile.range.strip_begin;
    product.right_end = tile.range.strip_end;
    product.fisher = sums_.data() + architecture_.weight_offset(tile.layer);
    product.stride = layer.inputs;
    product.scratch = worker.scratch.data();
    packed_.kernels().outer(product);
    if (tile.range.strip_begin == 0) {
      // The bias's input is 1, so its column of F is a sum over samples.
      const kernels::ConstBf16Lines own{product.left.block(product.left_begin, 0), end - begin, count,
                                        product.left.stride};
      packed_.kernels().line_sums(own, sums_.data() + architecture_.bias_offset(tile.layer) + begin);
    }
    if (sums_.ends_at(first + count)) fold_section(tile);
  }
}

void Bf16Pass::fold_section(const FisherTile& tile) {
  const LinearLayer& layer = architecture_.layers()[tile.layer];
  const std::size_t begin = tile.range.strip_begin * kBlock;
  const std::size_t count = std::min(tile.range.strip_end * kBlock, layer.inputs) - begin;
  for (std::size_t row = tile.range.row_begin; row < tile.range.row_end; ++row) {
    sums_.fold(architecture_.weight_offset(tile.layer) + row * layer.inputs + begin, count);
    if (begin == 0) sums_.fold(architecture_.bias_offset(tile.layer) + row, 1);
  }
}

}  // namespace fisherdiag
