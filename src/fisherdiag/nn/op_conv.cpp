// Convolutions and their transposes: products of patches with the weight.
//
// Both have a wide side, whose positions each see `taps` positions of the narrow side, and a weight [wide
// channels, narrow channels of a group, taps]. A convolution's output is the wide side, a transposed one's
// input. Within this file columns of patches are ordered taps first, so that channels stay together.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/nn/ops.hpp"
#include "fisherdiag/nn/padded_patches.hpp"
#include "fisherdiag/nn/position_table.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

namespace {

/// Rows of patches that stay in the second-level cache from gathering to product.
constexpr std::size_t kPatchFloats = std::size_t{48} << 10;
constexpr std::size_t kLeastRows = 8, kMostRows = 256;
/// Columns of patches that are accumulated together.
constexpr std::size_t kStripsAtOnce = 6;
/// Samples whose padded copies a product takes at a time.
constexpr std::size_t kMostGridSamples = 16;
/// Numbers of a kernel row, side by side in a padded copy, from which on patches are read there.
constexpr std::size_t kLeastRun = 8;
/// Multiply-adds of the backward product as a convolution for each that is needed, above which it is not one.
constexpr double kMostFlippedCost = 1.35;
/// Vectors of kernel rows for each of gathered patches, above which gathering is worth its time.
constexpr double kMostGridShare = 1.15;
/// Rows of patches that one call of gram_squared takes.
constexpr std::size_t kChainRows = 1024;

struct ConvShape {
  bool transposed = false;
  std::size_t groups = 1;
  ValueShape wide, narrow;
  Window window;
};

class ConvOp final : public Op {
 public:
  ConvOp(ConvShape shape, bool bias) : s_(std::move(shape)) {
    output_ = s_.transposed ? s_.narrow : s_.wide;
    taps_ = s_.window.taps();
    wide_ = s_.wide.features / s_.groups;
    narrow_ = s_.narrow.features / s_.groups;
    std::vector<std::size_t> dims{s_.wide.features, narrow_};
    dims.insert(dims.end(), s_.window.kernel.begin(), s_.window.kernel.end());
    // PyTorch's default: the fan of the second dimension of the weight.
    const double bound = 1 / std::sqrt(static_cast<double>(narrow_ * taps_));
    parameters_ = {{"weight", dims, true, 0, bound}};
    if (bias) parameters_.push_back({"bias", {output_.features}, false, 0, bound});
  }

  OpFlops flops() const override {
    const double weights = 2.0 * static_cast<double>(s_.wide.features * columns());
    const double all = weights * static_cast<double>(s_.wide.positions());
    return {all, all, all + weights};
  }

  void prepare(const kernels::KernelTable& kernels) override {
    Op::prepare(kernels);
    rows_ = position_table(s_.window, s_.wide.grid, s_.narrow.grid);
    for (std::size_t t = 0; t < s_.wide.positions(); ++t) same_.push_back(static_cast<std::int32_t>(t));
    if (is_padded(kernels.lanes))
      padded_.emplace(s_.window, s_.wide.grid, s_.narrow, s_.groups, kernels.lanes);
    if (is_flipped()) flipped_.emplace(flipped_window(), s_.narrow.grid, s_.wide, 1, kernels.lanes);
  }

  void pack(std::span<const std::span<const float>> parameters) override {
    if (gathered_.empty()) allocate();
    std::vector<float> ordered(wide_ * columns());
    for (std::size_t g = 0; g < s_.groups; ++g) {
      for (std::size_t w = 0; w < wide_; ++w)
        for (std::size_t j = 0; j < columns(); ++j)
          ordered[w * columns() + j] = parameters[0][parameter_index(g * wide_ + w, j)];
      kernels().transpose_to_strips(ordered.data(), columns(), gathered_[g].view());
      if (!is_flipped()) kernels().to_strips(ordered.data(), columns(), scattered_[g].view(), {});
    }
    if (is_flipped()) pack_flipped(ordered);
    if (parameters.size() == 1) return;
    if (s_.transposed) {
      std::ranges::copy(parameters[1], bias_.begin());
    } else {
      for (std::size_t g = 0; g < s_.groups; ++g)
        std::copy_n(parameters[1].begin() + static_cast<std::ptrdiff_t>(g * wide_), wide_,
                    bias_.begin() + g * bias_step());
    }
  }

  std::size_t packed_bytes(std::size_t lanes) const override {
    const std::size_t back = is_flipped() ? StripBuffer::bytes(taps_ * wide_, narrow_, lanes)
                                          : s_.groups * StripBuffer::bytes(wide_, columns(), lanes);
    return s_.groups * StripBuffer::bytes(columns(), wide_, lanes) + back + rows_bytes();
  }

  std::size_t scratch_floats(std::size_t lanes) const override {
    const std::size_t rows = piece_rows(), chain = accumulate_samples() * s_.wide.positions();
    const std::size_t product = OpScratch::floats(rows, columns(), lanes) +
                                OpScratch::floats(rows, wide_, lanes) +
                                ops::product_floats(std::max(columns(), wide_), lanes);
    const std::size_t accumulation =
        OpScratch::floats(chain, kStripsAtOnce * lanes, lanes) + OpScratch::floats(chain, wide_, lanes);
    if (!is_padded(lanes)) return std::max(product, accumulation);
    const auto grid = [&](std::size_t samples) {
      return PaddedPatches::floats(s_.window, s_.narrow, samples, lanes);
    };
    const std::size_t back =
        flipped_ ? PaddedPatches::floats(flipped_window(), s_.wide, grid_samples(*flipped_), lanes) : 0;
    const std::size_t forward = is_grid() ? grid(grid_samples(*padded_)) : product + grid(samples_at_once());
    return std::max({product, back, forward, accumulation + grid(accumulate_samples())});
  }

  void forward(const OpForward& f) const override {
    if (!s_.transposed) return gather_product(f.inputs[0], f.output, false, bias_.data(), *f.scratch);
    scatter_product(f.inputs[0], f.output, false, *f.scratch);
    if (parameters_.size() > 1) kernels().scale_columns(f.output, nullptr, bias_.data(), false, f.output);
  }

  void backward(const OpBackward& b) const override {
    if (parameters_.size() > 1) ops::add_position_sums(kernels(), b.delta, b.samples, b.gradients[1]);
    if (!b.below[0].data) return;
    if (s_.transposed) return gather_product(b.delta, b.below[0], b.add[0], nullptr, *b.scratch);
    scatter_product(b.delta, b.below[0], b.add[0], *b.scratch);
  }

  GradientMatrix gradient_matrix() const override { return {s_.wide.features, columns()}; }

  std::size_t accumulate_samples() const override {
    return std::clamp<std::size_t>(kChainRows / s_.wide.positions(), 1, 64);
  }

  void accumulate(const OpAccumulate& a) const override {
    if (a.sums && (!is_grid() || s_.transposed || !accumulate_on_grid(a))) accumulate_gathered(a);
    if (a.squares) add_squares(a);
  }

  /// Of others a seed's operands are made one after the other.
  bool sums_squares() const override { return sums_apart(kernels().lanes); }
  bool sums_apart(std::size_t lanes) const override {
    return !s_.transposed && (s_.groups == 1 || wide_ % lanes == 0);
  }

  void add_gradient(const OpAccumulate& a, float* target, std::size_t stride) const override {
    for_patches(a, a.deltas.first(1), [&](const Patches& p) {
      float* to = target + p.group * wide_ * stride + (p.strip - a.strip_begin) * kernels().lanes;
      kernels().add_outer(p.left, p.right, false, to, stride);
    });
  }

  std::size_t parameter_index(std::size_t row, std::size_t column) const override {
    return (row * narrow_ + column % narrow_) * taps_ + column / narrow_;
  }

 private:
  /// Of the patches of one group.
  std::size_t columns() const { return taps_ * narrow_; }
  std::size_t rows_bytes() const { return (taps_ + 1) * s_.wide.positions() * sizeof(std::int32_t); }
  std::size_t bias_step() const {
    const std::size_t lanes = kernels().lanes;
    return (wide_ + lanes - 1) / lanes * lanes;
  }
  std::size_t piece_rows() const {
    return std::clamp(kPatchFloats / columns() / kLeastRows * kLeastRows, kLeastRows, kMostRows);
  }
  /// Products read patches from a padded copy of the narrow side, in which a kernel row is a run of numbers.
  bool is_grid() const {
    const std::size_t together = s_.window.dilation.back() == 1 ? s_.window.kernel.back() : 1;
    return s_.groups == 1 && taps_ > 1 && narrow_ * together >= kLeastRun;
  }
  /// Patches are read or put together from a padded copy: where channels do not fill vectors, unless they are
  /// single positions.
  bool is_padded(std::size_t lanes) const { return is_grid() || (taps_ > 1 && narrow_ % lanes != 0); }
  /// The transpose of a window that moves by one is a window too, with the kernel the other way round: from a
  /// padded copy of the wide side. Not where there is much more to multiply that way.
  bool is_flipped() const {
    const std::size_t half = kLeastRun, filled = (narrow_ + half - 1) / half * half;
    const auto cost = static_cast<double>(s_.narrow.positions() * filled);
    if (s_.groups != 1 || cost > kMostFlippedCost * static_cast<double>(s_.wide.positions() * narrow_))
      return false;
    const Window& w = s_.window;
    for (std::size_t d = 0; d < w.kernel.size(); ++d)
      if (w.stride[d] != 1 || w.padding[d] > w.dilation[d] * (w.kernel[d] - 1) ||
          flipped_window().places(d, s_.wide.grid[d]) != s_.narrow.grid[d])
        return false;
    return true;
  }
  Window flipped_window() const {
    Window w = s_.window;
    for (std::size_t d = 0; d < w.kernel.size(); ++d)
      w.padding[d] = w.dilation[d] * (w.kernel[d] - 1) - w.padding[d];
    return w;
  }
  void allocate() {
    const std::size_t lanes = kernels().lanes;
    for (std::size_t g = 0; g < s_.groups; ++g) {
      gathered_.emplace_back(columns(), wide_, lanes);
      if (!is_flipped()) scattered_.emplace_back(wide_, columns(), lanes);
    }
    if (is_flipped()) flipped_weights_ = StripBuffer(taps_ * wide_, narrow_, lanes);
    bias_ = AlignedBuffer<float>((output_.features / s_.groups + lanes) * s_.groups + lanes);
  }
  /// Rows: taps from last to first, channels of the wide side inside; `ordered`: [wide, taps, narrow].
  void pack_flipped(const std::vector<float>& ordered) {
    std::vector<float> rows(ordered.size());
    for (std::size_t w = 0; w < wide_; ++w)
      for (std::size_t tap = 0; tap < taps_; ++tap)
        std::copy_n(ordered.data() + w * columns() + tap * narrow_, narrow_,
                    rows.data() + ((taps_ - 1 - tap) * wide_ + w) * narrow_);
    kernels().to_strips(rows.data(), narrow_, flipped_weights_.view(), {});
  }
  /// Samples whose padded copies are made at a time.
  std::size_t samples_at_once() const { return std::max<std::size_t>(piece_rows() / s_.wide.positions(), 1); }
  kernels::PatchTable patches(std::size_t group) const {
    return {rows_.data(), taps_, s_.wide.positions(), s_.narrow.positions(), group * narrow_, narrow_};
  }
  /// The wide side's channels of one group.
  kernels::PatchTable group_channels(std::size_t group) const {
    return {same_.data(), 1, s_.wide.positions(), s_.wide.positions(), group * wide_, wide_};
  }
  bool group_is_strips(std::size_t group) const { return group * wide_ % kernels().lanes == 0; }

  /// Rows [first, first + count) of one group's channels of the wide side: a view, or a copy in scratch where
  /// the group starts within a strip.
  kernels::ConstStrips group_rows(const kernels::ConstStrips& wide, std::size_t group, std::size_t first,
                                  std::size_t count, OpScratch& scratch) const {
    const std::size_t lanes = kernels().lanes;
    if (group_is_strips(group))
      return ops::columns_of(ops::rows_of(wide, first, count, lanes), group * wide_ / lanes, wide_);
    const kernels::Strips copy = scratch.strips(count, wide_);
    kernels().gather_patches(group_channels(group), wide, first, 0, copy);
    return copy;
  }

  static std::size_t grid_samples(const PaddedPatches& patches) {
    return std::clamp<std::size_t>(kPatchFloats / patches.sample_floats(), 1, kMostGridSamples);
  }

  /// to = [to +] patches(from) weights + bias, a few samples at a time.
  void grid_product(const PaddedPatches& patches, const kernels::ConstStrips& from,
                    const StripBuffer& weights, const kernels::Strips& to, bool add, const float* bias,
                    std::size_t samples, OpScratch& scratch) const {
    const std::size_t in = from.rows / samples, out = to.rows / samples, lanes = kernels().lanes;
    const std::size_t step = grid_samples(patches);
    for (std::size_t first = 0; first < samples; first += step) {
      const std::size_t count = std::min(step, samples - first);
      scratch.reset();
      const float* grid = patches.pad(kernels(), ops::rows_of(from, first * in, count * in, lanes), scratch);
      kernels().grid_gemm({patches.rows(grid), patches.runs().data(), patches.runs().size(), weights.view(),
                           ops::rows_of(to, first * out, count * out, lanes), bias, add});
    }
  }

  /// False where kernel rows do not fill vectors, and gathered patches would.
  bool accumulate_on_grid(const OpAccumulate& a) const {
    const std::size_t lanes = kernels().lanes;
    const std::vector<kernels::GridStrip> strips =
        padded_->strips(a.strip_begin * lanes, std::min(a.strip_end * lanes, columns()));
    if (kMostGridShare * static_cast<double>(a.strip_end - a.strip_begin) <
        static_cast<double>(strips.size()))
      return false;
    a.scratch->reset();
    const Source source = source_of(a.input, 0, a.samples, *a.scratch);
    for (const kernels::ConstStrips& delta : a.deltas)
      kernels().grid_gram_squared(
          {delta, padded_->rows(source.grid), strips.data(), strips.size(), a.sums, columns(), a.traces});
    return true;
  }

  /// wide = [wide +] patches(narrow) W^T + bias.
  void gather_product(const kernels::ConstStrips& narrow, const kernels::Strips& wide, bool add,
                      const float* bias, OpScratch& scratch) const {
    if (is_grid())
      return grid_product(*padded_, narrow, gathered_[0], wide, add, bias, wide.rows / s_.wide.positions(),
                          scratch);
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

  /// The side that patches are taken from, and its padded copy if it needs one.
  struct Source {
    kernels::ConstStrips narrow;
    const float* grid;
  };
  Source source_of(const kernels::ConstStrips& narrow, std::size_t first, std::size_t count,
                   OpScratch& scratch) const {
    const std::size_t positions = s_.narrow.positions();
    const kernels::ConstStrips own =
        ops::rows_of(narrow, first * positions, count * positions, kernels().lanes);
    return {own, padded_ ? padded_->pad(kernels(), own, scratch) : nullptr};
  }
  void gather(const Source& source, std::size_t group, std::size_t row, std::size_t strip,
              const kernels::Strips& seen) const {
    if (source.grid) return kernels().gather_pieces(padded_->group(group), source.grid, row, strip, seen);
    kernels().gather_patches(patches(group), source.narrow, row, strip * kernels().lanes, seen);
  }
  /// The product's result needs no further step.
  bool is_direct(bool add) const { return !add && (s_.groups == 1 || wide_ % kernels().lanes == 0); }

  /// The same for a few samples, piece by piece.
  void gather_product(const Source& source, const kernels::Strips& wide, bool add, const float* bias,
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
  void scatter_product(const kernels::ConstStrips& wide, const kernels::Strips& narrow, bool add,
                       OpScratch& scratch) const {
    if (flipped_)
      return grid_product(*flipped_, wide, flipped_weights_, narrow, add, nullptr,
                          wide.rows / s_.wide.positions(), scratch);
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

  struct Patches {
    kernels::ConstStrips left, right;  // channels of the wide side; what they see
    std::size_t group, strip;          // strip: the first of right within the matrix
  };

  /// Calls f(Patches) for every group, the columns asked for, a few at a time, and every seed.
  template <class F>
  void for_patches(const OpAccumulate& a, std::span<const kernels::ConstStrips> deltas, const F& f) const {
    const std::size_t lanes = kernels().lanes, rows = a.samples * s_.wide.positions();
    a.scratch->reset();
    Source source;
    if (!s_.transposed) source = source_of(a.input, 0, a.samples, *a.scratch);
    const std::size_t mark = a.scratch->mark();
    for (std::size_t g = 0; g < s_.groups; ++g)
      for (std::size_t strip = a.strip_begin; strip < a.strip_end; strip += kStripsAtOnce) {
        const std::size_t end = std::min(strip + kStripsAtOnce, a.strip_end);
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

  void accumulate_gathered(const OpAccumulate& a) const {
    for_patches(a, a.deltas, [&](const Patches& p) {
      const std::size_t strips = (p.right.cols + kernels().lanes - 1) / kernels().lanes;
      double* sums = a.sums + p.group * wide_ * columns() + p.strip * kernels().lanes;
      kernels().gram_squared(
          {p.left, p.right, s_.wide.positions(), nullptr, {0, wide_, 0, strips}, sums, columns(), a.traces});
    });
  }

  /// Where patches are the same for all seeds, and channels are views: OpAccumulate::squares.
  void add_squares(const OpAccumulate& a) const {
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

  ConvShape s_;
  std::size_t taps_ = 0, wide_ = 0, narrow_ = 0;  // channels of one group
  std::vector<std::int32_t> rows_, same_;
  std::optional<PaddedPatches> padded_, flipped_;
  StripBuffer flipped_weights_;
  std::vector<StripBuffer> gathered_, scattered_;  // per group: [columns, wide] and [wide, columns]
  AlignedBuffer<float> bias_;
};

std::unique_ptr<Op> make_conv(LayerFields& fields, std::span<const ValueShape> inputs, std::size_t rank,
                              bool transposed) {
  const ValueShape& input = ops::only_input(fields, inputs);
  if (input.grid.size() != rank || !input.channels_first)
    fields.fail("takes inputs with channels and " + std::to_string(rank) + " dimensions, not " +
                input.text());
  ConvShape s;
  s.transposed = transposed;
  s.groups = fields.size("groups", 1);
  if (const std::size_t in = fields.size("in", input.features); in != input.features)
    fields.fail("'in' is " + std::to_string(in) + " but its input " + input.text() + " has " +
                std::to_string(input.features) + " channels");
  ValueShape output = input;
  output.features = fields.size("out");
  if (input.features % s.groups || output.features % s.groups)
    fields.fail("'groups' must divide 'in' and 'out'");
  s.window = {fields.sizes("kernel", rank), fields.sizes("stride", rank, 1),
              fields.sizes("padding", rank, 0, 0), fields.sizes("dilation", rank, 1)};
  const std::vector<std::size_t> extra =
      transposed ? fields.sizes("output_padding", rank, 0, 0) : std::vector<std::size_t>(rank, 0);
  for (std::size_t d = 0; d < rank; ++d) {
    const std::size_t covered = s.window.dilation[d] * (s.window.kernel[d] - 1) + 1;
    if (!transposed) {
      output.grid[d] = s.window.places(d, input.grid[d]);
    } else {
      const std::size_t all = (input.grid[d] - 1) * s.window.stride[d] + covered + extra[d];
      output.grid[d] = all > 2 * s.window.padding[d] ? all - 2 * s.window.padding[d] : 0;
      if (extra[d] >= std::max(s.window.stride[d], s.window.dilation[d]))
        fields.fail("'output_padding' must be less than stride or dilation");
    }
    if (output.grid[d] == 0) fields.fail("its kernel does not fit its input " + input.text());
  }
  s.wide = transposed ? input : output;
  s.narrow = transposed ? output : input;
  return std::make_unique<ConvOp>(std::move(s), fields.has_bias());
}

}  // namespace

std::unique_ptr<Op> make_conv1d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_conv(fields, inputs, 1, false);
}
std::unique_ptr<Op> make_conv2d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_conv(fields, inputs, 2, false);
}
std::unique_ptr<Op> make_conv_transpose2d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_conv(fields, inputs, 2, true);
}

}  // namespace fisherdiag
