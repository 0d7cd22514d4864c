// The first phase of a BlockPass: chunks of rows forward and backward.
#include <algorithm>

#include "fisherdiag/fisher/block_pass_worker.hpp"

namespace fisherdiag {

using block_rows::product_flops;
using block_rows::round_up;

/// Rows [offset, offset + count) of the chunk at `first` of what goes into layer `l` (of the logits: l =
/// layers). batched keeps these for the whole block instead of their squares.
kernels::Strips BlockPass::activation(std::size_t l, std::size_t first, std::size_t offset, std::size_t count,
                                      Worker& worker) {
  if (estimator_.kind == EstimatorKind::Batched && l < inputs_.size())
    return inputs_[l].rows(first + offset, count);
  return worker.activations[l].rows(offset, count);
}

void BlockPass::rows_phase(Place place, std::size_t count, Worker& worker, MatrixView<const float> inputs,
                           MatrixView<const float> targets, std::span<const std::uint64_t> samples) {
  const bool batched = estimator_.kind == EstimatorKind::Batched;
  const std::size_t layers = architecture_.layers().size();
  throw_if_stopped();
  {
    const PassTimer timer(worker.track, PassPhase::Strips);
    packed_.kernels().to_strips(inputs.row(place.row), inputs.stride,
                                activation(0, place.kept, 0, count, worker),
                                batched ? kernels::Strips{} : inputs_[0].rows(place.kept, count));
  }
  for (std::size_t l = 0; l < layers; ++l) {
    const PassTimer timer(worker.track, PassPhase::Forward, l,
                          product_flops(architecture_.layers()[l], count));
    const bool square = !batched && l + 1 < layers;
    packed_.forward(l, activation(l, place.kept, 0, count, worker),
                    activation(l + 1, place.kept, 0, count, worker),
                    square ? inputs_[l + 1].rows(place.kept, count) : kernels::Strips{}, worker.scratch());
  }
  for (std::size_t offset = 0; offset < count; offset += group_rows_)
    seeds_and_backward(place, offset, std::min(group_rows_, count - offset), worker, targets, samples);
  if (!squares_.empty()) {
    const PassTimer timer(worker.track, PassPhase::Accumulate);
    for (std::size_t l = 0; l < layers; ++l)
      squares_.put(l, place.kept, outputs_[l].rows(place.kept, count), inputs_[l].rows(place.kept, count));
  }
  if (!traces_.rows) return;
  const PassTimer timer(worker.track, PassPhase::Traces);
  write_traces(place, count);
}

/// A squared outer product's elements add up to the product of the sums; the bias's input is 1.
void BlockPass::write_traces(Place place, std::size_t count) {
  const std::size_t lanes = packed_.kernels().lanes;
  for (std::size_t l = 0; l < inputs_.size(); ++l) {
    const kernels::ConstStrips squared = inputs_[l].rows(place.kept, count),
                               q = outputs_[l].rows(place.kept, count);
    for (std::size_t r = 0; r < count; ++r)
      traces_(place.row + r, l) = (1 + row_sum(squared, r, lanes)) * row_sum(q, r, lanes);
  }
}

namespace {

/// Where a row fits one strip the strip itself is a row-major matrix.
MatrixView<float> as_rows(const kernels::Strips& strips, std::size_t lanes) {
  return {strips.data, strips.rows, strips.cols, lanes};
}

}  // namespace

void BlockPass::seeds_and_backward(Place place, std::size_t offset, std::size_t count, Worker& worker,
                                   MatrixView<const float> targets, std::span<const std::uint64_t> samples) {
  prepare_seeds(place, offset, count, worker, targets, samples);
  if (architecture_.layers().size() == 1) return;

  // Never past this chunk's rows: the next ones belong to another thread.
  const std::size_t group_rows = std::min(group_rows_, round_up(count, kernels::kRowTile));
  for (std::size_t k0 = 0; k0 < worker.seeds.columns(); k0 += group_columns_) {
    throw_if_stopped();
    const std::size_t groups = std::min(group_columns_, worker.seeds.columns() - k0);
    write_seeds(k0, groups, group_rows, count, worker);
    back_propagate(place.kept, offset, group_rows, groups, k0 == 0, worker);
  }
}

/// Seeds of `count` rows whose logits are at `offset` of the chunk, and the last layer's Q of these rows.
void BlockPass::prepare_seeds(Place place, std::size_t offset, std::size_t count, Worker& worker,
                              MatrixView<const float> targets, std::span<const std::uint64_t> samples) {
  const PassTimer timer(worker.track, PassPhase::Seeds);
  const kernels::KernelTable& k = packed_.kernels();
  const std::size_t outputs = architecture_.outputs(), row = place.row + offset;
  const kernels::Strips z = worker.activations.back().rows(offset, count);
  MatrixView<float> logits = as_rows(z, k.lanes);
  if (outputs > k.lanes) {
    logits = {worker.logits.data(), count, outputs};
    k.from_strips(z, logits.data, outputs);
  }
  const MatrixView<const float> own_targets =
      targets.rows ? MatrixView<const float>{targets.row(row), count, targets.cols, targets.stride} : targets;
  worker.seeds.prepare(logits, own_targets, samples.subspan(row, count),
                       weights_.empty() ? weights_ : weights_.subspan(row, count));
  write_top(place.kept + offset, count, worker);
}

/// Seeds [k0, k0 + groups) of `count` rows, one group of `group_rows` rows per seed, where the backward pass
/// starts.
void BlockPass::write_seeds(std::size_t k0, std::size_t groups, std::size_t group_rows, std::size_t count,
                            Worker& worker) {
  const PassTimer timer(worker.track, PassPhase::Seeds);
  const kernels::KernelTable& k = packed_.kernels();
  const std::size_t outputs = architecture_.outputs();
  for (std::size_t g = 0; g < groups; ++g) {
    kernels::Strips d = worker.delta[0].shaped(group_rows * groups, outputs);
    d = {d.data + g * group_rows * k.lanes, count, outputs, d.stride};
    if (outputs <= k.lanes) {
      worker.seeds.write(k0 + g, as_rows(d, k.lanes));
    } else {
      worker.seeds.write(k0 + g, {worker.seed_rows.data(), count, outputs});
      k.to_strips(worker.seed_rows.data(), outputs, d, {});
    }
  }
}

/// The last layer's Q (batched: D) needs no back-propagation: it is a function of the seeds alone.
void BlockPass::write_top(std::size_t first, std::size_t count, Worker& worker) {
  const kernels::KernelTable& k = packed_.kernels();
  const kernels::Strips top = outputs_.back().rows(first, count);
  const bool direct = top.cols <= k.lanes;
  const MatrixView<float> rows =
      direct ? as_rows(top, k.lanes) : MatrixView<float>{worker.seed_rows.data(), count, top.cols};
  if (estimator_.kind == EstimatorKind::Batched)
    worker.seeds.write(0, rows);
  else
    worker.seeds.write_squares(rows);
  if (!direct) k.to_strips(rows.data, rows.stride, top, {});
}

void BlockPass::back_propagate(std::size_t first, std::size_t offset, std::size_t group_rows,
                               std::size_t groups, bool overwrite, Worker& worker) {
  const bool batched = estimator_.kind == EstimatorKind::Batched;
  kernels::Strips delta = worker.delta[0].shaped(group_rows * groups, architecture_.outputs());
  for (std::size_t l = architecture_.layers().size() - 1, turn = 1; l > 0; --l, turn ^= 1) {
    const kernels::Strips factor = activation(l, first, offset, group_rows, worker);
    const kernels::Strips kept = outputs_[l - 1].rows(first + offset, group_rows);
    const PassTimer timer(worker.track, PassPhase::Backward, l,
                          product_flops(architecture_.layers()[l], group_rows * groups));
    // batched has one seed and keeps the sensitivities themselves.
    const kernels::Strips below =
        batched ? kept
                : worker.delta[turn].shaped(group_rows * groups, architecture_.layers()[l - 1].outputs);
    packed_.backward(l, delta, factor, below, batched ? kernels::Strips{} : kept, overwrite,
                     worker.scratch());
    delta = below;
  }
}

}  // namespace fisherdiag
