// Squares of a convolution's per-sample gradients.
#include <algorithm>
#include <vector>

#include "fisherdiag/nn/conv_op.hpp"

namespace fisherdiag {

namespace {

/// Vectors of kernel rows for each of gathered patches, above which gathering is worth its time.
constexpr double kMostGridShare = 1.15;
/// Rows of patches that one call of gram_squared takes.
constexpr std::size_t kChainRows = 1024;

}  // namespace

/// Calls f(Patches) for every group, the columns asked for, a few at a time, and every seed.
template <class F>
void ConvOp::for_patches(const OpAccumulate& a, std::span<const kernels::ConstStrips> deltas,
                         const F& f) const {
  const std::size_t lanes = kernels().lanes, rows = a.samples * s_.wide.positions();
  a.scratch->reset();
  Source source;
  if (!s_.transposed) source = source_of(a.input, 0, a.samples, *a.scratch);
  const std::size_t mark = a.scratch->mark();
  for (std::size_t g = 0; g < s_.groups; ++g)
    for (std::size_t strip = a.strip_begin; strip < a.strip_end; strip += kConvStripsAtOnce) {
      const std::size_t end = std::min(strip + kConvStripsAtOnce, a.strip_end);
      for (const kernels::ConstStrips& delta : deltas) {
        // What does not depend on the seed is laid out once.
        const bool first = &delta == deltas.data();
        a.scratch->rewind(mark);
        const kernels::Strips right =
            a.scratch->strips(rows, std::min(end * lanes, columns()) - strip * lanes);
        if (s_.transposed)
          gather({delta, nullptr}, g, 0, strip, right);
        else if (first)
          gather(source, g, 0, strip, right);
        f({group_rows(s_.transposed ? a.input : delta, g, 0, rows, *a.scratch), right, g, strip});
      }
    }
}

std::size_t ConvOp::accumulate_samples() const {
  return std::clamp<std::size_t>(kChainRows / s_.wide.positions(), 1, 64);
}

void ConvOp::accumulate(const OpAccumulate& a) const {
  if (a.sums && (!is_grid() || s_.transposed || !accumulate_on_grid(a))) accumulate_gathered(a);
  if (a.squares) add_squares(a);
}

void ConvOp::add_gradient(const OpAccumulate& a, float* target, std::size_t stride) const {
  for_patches(a, a.deltas.first(1), [&](const Patches& p) {
    float* to = target + p.group * wide_ * stride + (p.strip - a.strip_begin) * kernels().lanes;
    kernels().add_outer(p.left, p.right, false, to, stride);
  });
}

/// False where kernel rows do not fill vectors, and gathered patches would.
bool ConvOp::accumulate_on_grid(const OpAccumulate& a) const {
  const std::size_t lanes = kernels().lanes;
  const std::vector<kernels::GridStrip> strips =
      padded_->strips(a.strip_begin * lanes, std::min(a.strip_end * lanes, columns()));
  if (kMostGridShare * static_cast<double>(a.strip_end - a.strip_begin) < static_cast<double>(strips.size()))
    return false;
  a.scratch->reset();
  const Source source = source_of(a.input, 0, a.samples, *a.scratch);
  const kernels::GridSkipScratch lists = column_lists(strips.size(), *a.scratch);
  for (const kernels::ConstStrips& delta : a.deltas)
    kernels().grid_gram_squared_skip(
        {delta, padded_->rows(source.grid), strips.data(), strips.size(), a.sums, columns(), a.traces},
        lists);
  return true;
}

void ConvOp::accumulate_gathered(const OpAccumulate& a) const {
  for_patches(a, a.deltas, [&](const Patches& p) {
    const std::size_t strips = (p.right.cols + kernels().lanes - 1) / kernels().lanes;
    double* sums = a.sums + p.group * wide_ * columns() + p.strip * kernels().lanes;
    kernels().gram_squared(
        {p.left, p.right, s_.wide.positions(), nullptr, {0, wide_, 0, strips}, sums, columns(), a.traces});
  });
}

/// Where patches are the same for all seeds, and channels are views: OpAccumulate::squares.
void ConvOp::add_squares(const OpAccumulate& a) const {
  std::vector<kernels::ConstStrips> lefts(a.deltas.size());
  for_patches(a, a.deltas.first(1), [&](const Patches& p) {
    for (std::size_t k = 0; k < lefts.size(); ++k)
      lefts[k] = group_rows(a.deltas[k], p.group, 0, p.left.rows, *a.scratch);
    const std::vector<kernels::ConstStrips> rights(lefts.size(), p.right);
    const std::size_t strips = (p.right.cols + kernels().lanes - 1) / kernels().lanes;
    double* squares = a.squares + p.group * wide_ * columns() + p.strip * kernels().lanes;
    kernels().gram_squares({lefts.data(),
                            rights.data(),
                            lefts.size(),
                            s_.wide.positions(),
                            {0, wide_, 0, strips},
                            squares,
                            columns()});
  });
}

}  // namespace fisherdiag
