// Forward and backward of convolutions.
#include <algorithm>

#include "fisherdiag/nn/conv_op.hpp"

namespace fisherdiag {

void ConvOp::forward(const OpForward& f) const {
  if (!s_.transposed) return gather_product(f.inputs[0], f.output, false, bias_.data(), *f.scratch);
  scatter_product(f.inputs[0], f.output, false, *f.scratch);
  if (parameters_.size() > 1) kernels().scale_columns(f.output, nullptr, bias_.data(), false, f.output);
}

void ConvOp::backward(const OpBackward& b) const {
  if (parameters_.size() > 1) ops::add_position_sums(kernels(), b.delta, b.samples, b.gradients[1]);
  if (!b.below[0].data) return;
  if (s_.transposed) return gather_product(b.delta, b.below[0], b.add[0], nullptr, *b.scratch);
  scatter_product(b.delta, b.below[0], b.add[0], *b.scratch);
}

namespace {

/// Calls f(rows of from, its padded copy, rows of to) for a few samples at a time.
template <class F>
void for_grids(const kernels::KernelTable& kernels, const PaddedPatches& patches, std::size_t step,
               std::size_t samples, const kernels::ConstStrips& from, const kernels::Strips& to,
               OpScratch& scratch, const F& f) {
  const std::size_t in = from.rows / samples, out = to.rows / samples;
  for (std::size_t first = 0; first < samples; first += step) {
    const std::size_t count = std::min(step, samples - first);
    scratch.reset();
    const kernels::ConstStrips rows = ops::rows_of(from, first * in, count * in, kernels.lanes);
    const float* grid = patches.pad(kernels, rows, scratch);
    f(rows, grid, ops::rows_of(to, first * out, count * out, kernels.lanes));
  }
}

}  // namespace

/// wide = [wide +] patches(narrow) W^T + bias.
void ConvOp::grid_product(const kernels::ConstStrips& narrow, const kernels::Strips& wide, bool add,
                          const float* bias, OpScratch& scratch) const {
  const PaddedPatches& p = *padded_;
  for_grids(kernels(), p, grid_samples(p), wide.rows / s_.wide.positions(), narrow, wide, scratch,
            [&](const kernels::ConstStrips&, const float* grid, const kernels::Strips& to) {
              kernels().grid_gemm(
                  {p.rows(grid), p.runs().data(), p.runs().size(), gathered_[0].view(), to, bias, add});
            });
}

/// narrow = [narrow +] patches(wide) W, the kernel the other way round.
void ConvOp::flipped_product(const kernels::ConstStrips& wide, const kernels::Strips& narrow, bool add,
                             OpScratch& scratch) const {
  const PaddedPatches& p = *flipped_;
  for_grids(kernels(), p, grid_samples(p), wide.rows / s_.wide.positions(), wide, narrow, scratch,
            [&](const kernels::ConstStrips& from, const float* grid, const kernels::Strips& to) {
              kernels().grid_gemm_skip(
                  {p.rows(grid), p.runs().data(), p.runs().size(), flipped_weights_.view(), to, nullptr, add},
                  from, s_.wide.features, flipped_lists(scratch));
            });
}

/// wide = [wide +] patches(narrow) W^T + bias.
void ConvOp::gather_product(const kernels::ConstStrips& narrow, const kernels::Strips& wide, bool add,
                            const float* bias, OpScratch& scratch) const {
  if (is_grid()) return grid_product(narrow, wide, add, bias, scratch);
  const std::size_t positions = s_.wide.positions(), samples = wide.rows / positions;
  const std::size_t step = padded_ ? samples_at_once() : samples;
  if (!is_direct(add) && !add) ops::clear(wide, kernels().lanes);
  for (std::size_t first = 0; first < samples; first += step) {
    const std::size_t count = std::min(step, samples - first);
    scratch.reset();
    const Source source = source_of(narrow, first, count, scratch);
    gather_product(source, ops::rows_of(wide, first * positions, count * positions, kernels().lanes), add,
                   bias, scratch);
  }
}

/// The same for a few samples, piece by piece.
void ConvOp::gather_product(const Source& source, const kernels::Strips& wide, bool add, const float* bias,
                            OpScratch& scratch) const {
  const std::size_t lanes = kernels().lanes, step = piece_rows(), mark = scratch.mark();
  const bool direct = is_direct(add);
  for (std::size_t row = 0; row < wide.rows; row += step) {
    const std::size_t count = std::min(step, wide.rows - row);
    for (std::size_t g = 0; g < s_.groups; ++g) {
      scratch.rewind(mark);
      const kernels::Strips seen = scratch.strips(count, columns());
      gather(source, g, row, 0, seen);
      const kernels::Strips to =
          direct ? ops::columns_of(ops::rows_of(wide, row, count, lanes), g * wide_ / lanes, wide_)
                 : scratch.strips(count, wide_);
      ops::product(kernels(), seen, gathered_[g].view(), to, bias ? bias + g * bias_step() : nullptr,
                   scratch);
      if (!direct) kernels().scatter_patches(group_channels(g), to, row, wide);
    }
  }
}

/// narrow = [narrow +] the transpose of patches applied to wide W.
void ConvOp::scatter_product(const kernels::ConstStrips& wide, const kernels::Strips& narrow, bool add,
                             OpScratch& scratch) const {
  if (flipped_) return flipped_product(wide, narrow, add, scratch);
  if (!add) ops::clear(narrow, kernels().lanes);
  const std::size_t step = piece_rows();
  for (std::size_t row = 0; row < wide.rows; row += step) {
    const std::size_t count = std::min(step, wide.rows - row);
    for (std::size_t g = 0; g < s_.groups; ++g) {
      scratch.reset();
      const kernels::Strips seen = scratch.strips(count, columns());
      ops::product(kernels(), group_rows(wide, g, row, count, scratch), scattered_[g].view(), seen, nullptr,
                   scratch);
      kernels().scatter_patches(patches(g), seen, row, narrow);
    }
  }
}

/// Rows [first, first + count) of one group's channels of the wide side: a view, or a copy in scratch where
/// the group starts within a strip.
kernels::ConstStrips ConvOp::group_rows(const kernels::ConstStrips& wide, std::size_t group,
                                        std::size_t first, std::size_t count, OpScratch& scratch) const {
  const std::size_t lanes = kernels().lanes;
  if (group_is_strips(group))
    return ops::columns_of(ops::rows_of(wide, first, count, lanes), group * wide_ / lanes, wide_);
  const kernels::Strips copy = scratch.strips(count, wide_);
  kernels().gather_patches(group_channels(group), wide, first, 0, copy);
  return copy;
}

ConvOp::Source ConvOp::source_of(const kernels::ConstStrips& narrow, std::size_t first, std::size_t count,
                                 OpScratch& scratch) const {
  const std::size_t positions = s_.narrow.positions();
  const kernels::ConstStrips own =
      ops::rows_of(narrow, first * positions, count * positions, kernels().lanes);
  return {own, padded_ ? padded_->pad(kernels(), own, scratch) : nullptr};
}

void ConvOp::gather(const Source& source, std::size_t group, std::size_t row, std::size_t strip,
                    const kernels::Strips& seen) const {
  if (source.grid) return kernels().gather_pieces(padded_->group(group), source.grid, row, strip, seen);
  kernels().gather_patches(patches(group), source.narrow, row, strip * kernels().lanes, seen);
}

}  // namespace fisherdiag
