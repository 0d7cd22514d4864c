#include "fisherdiag/nn/conv_op.hpp"

#include <algorithm>
#include <cmath>

namespace fisherdiag {

namespace {

/// Rows of patches that stay in the second-level cache from gathering to product.
constexpr std::size_t kPatchFloats = std::size_t{48} << 10;
constexpr std::size_t kLeastRows = 8, kMostRows = 256;
/// Samples whose padded copies a product takes at a time.
constexpr std::size_t kMostGridSamples = 16;
/// Numbers of a kernel row, side by side in a padded copy, from which on patches are read there.
constexpr std::size_t kLeastRun = 5;
/// Columns of a product that cost something are a multiple of this.
constexpr std::size_t kHalf = 8;
/// Multiply-adds of the backward product as a convolution for each that is needed, above which it is not one.
constexpr double kMostFlippedCost = 1.35;

}  // namespace

ConvOp::ConvOp(ConvShape shape, bool bias) : s_(std::move(shape)) {
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

OpFlops ConvOp::flops() const {
  const double weights = 2.0 * static_cast<double>(s_.wide.features * columns());
  const double all = weights * static_cast<double>(s_.wide.positions());
  return {all, all, all + weights};
}

void ConvOp::prepare(const kernels::KernelTable& kernels) {
  Op::prepare(kernels);
  rows_ = position_table(s_.window, s_.wide.grid, s_.narrow.grid);
  for (std::size_t t = 0; t < s_.wide.positions(); ++t) same_.push_back(static_cast<std::int32_t>(t));
  if (is_padded(kernels.lanes)) padded_.emplace(s_.window, s_.wide.grid, s_.narrow, s_.groups, kernels.lanes);
  if (is_flipped()) flipped_.emplace(flipped_window(), s_.narrow.grid, s_.wide, 1, kernels.lanes);
}

void ConvOp::pack(std::span<const std::span<const float>> parameters) {
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

void ConvOp::allocate() {
  const std::size_t lanes = kernels().lanes;
  for (std::size_t g = 0; g < s_.groups; ++g) {
    gathered_.emplace_back(columns(), wide_, lanes);
    if (!is_flipped()) scattered_.emplace_back(wide_, columns(), lanes);
  }
  if (is_flipped()) flipped_weights_ = StripBuffer(taps_ * wide_, narrow_, lanes);
  bias_ = AlignedBuffer<float>((output_.features / s_.groups + lanes) * s_.groups + lanes);
}

/// Rows: taps from last to first, channels of the wide side inside; `ordered`: [wide, taps, narrow].
void ConvOp::pack_flipped(const std::vector<float>& ordered) {
  std::vector<float> rows(ordered.size());
  for (std::size_t w = 0; w < wide_; ++w)
    for (std::size_t tap = 0; tap < taps_; ++tap)
      std::copy_n(ordered.data() + w * columns() + tap * narrow_, narrow_,
                  rows.data() + ((taps_ - 1 - tap) * wide_ + w) * narrow_);
  kernels().to_strips(rows.data(), narrow_, flipped_weights_.view(), {});
}

std::size_t ConvOp::packed_bytes(std::size_t lanes) const {
  const std::size_t back = is_flipped() ? StripBuffer::bytes(taps_ * wide_, narrow_, lanes)
                                        : s_.groups * StripBuffer::bytes(wide_, columns(), lanes);
  return s_.groups * StripBuffer::bytes(columns(), wide_, lanes) + back + rows_bytes();
}

std::size_t ConvOp::scratch_floats(std::size_t lanes) const {
  const std::size_t rows = piece_rows(), chain = accumulate_samples() * s_.wide.positions();
  const std::size_t product = OpScratch::floats(rows, columns(), lanes) +
                              OpScratch::floats(rows, wide_, lanes) +
                              ops::product_floats(std::max(columns(), wide_), lanes);
  const std::size_t accumulation =
      OpScratch::floats(chain, kConvStripsAtOnce * lanes, lanes) + OpScratch::floats(chain, wide_, lanes);
  if (!is_padded(lanes)) return std::max(product, accumulation);
  const auto grid = [&](std::size_t samples) {
    return PaddedPatches::floats(s_.window, s_.narrow, samples, lanes);
  };
  const std::size_t back =
      flipped_ ? PaddedPatches::floats(flipped_window(), s_.wide, grid_samples(*flipped_), lanes) +
                     flipped_list_floats(lanes)
               : 0;
  const std::size_t forward = is_grid() ? grid(grid_samples(*padded_)) : product + grid(samples_at_once());
  const std::size_t lists = is_grid() ? column_list_floats(padded_->strips(0, columns()).size(), lanes) : 0;
  return std::max({product, back, forward, std::max(accumulation, lists) + grid(accumulate_samples())});
}

std::size_t ConvOp::flipped_list_floats(std::size_t lanes) const {
  const std::size_t floats = flipped_->sample_floats(), entries = kernels::grid_gemm_entries(floats, lanes);
  if (entries > kernels::kMostGridEntries) return 0;
  return OpScratch::array_floats<kernels::NonZero>(entries) +
         OpScratch::array_floats<std::uint32_t>(floats / s_.wide.features + 1);
}

kernels::GridSkipScratch ConvOp::flipped_lists(OpScratch& scratch) const {
  const std::size_t floats = flipped_->sample_floats();
  const std::size_t entries = kernels::grid_gemm_entries(floats, kernels().lanes);
  kernels::GridSkipScratch lists;
  if (!scratch.skip_zeros() || entries > kernels::kMostGridEntries) return lists;
  lists.entries = scratch.array<kernels::NonZero>(entries);
  lists.starts = scratch.array<std::uint32_t>(floats / s_.wide.features + 1);
  return lists;
}

std::size_t ConvOp::column_list_floats(std::size_t strips, std::size_t lanes) const {
  const std::size_t entries = kernels::grid_gram_entries(s_.wide.positions(), lanes);
  if (entries > kernels::kMostGridEntries) return 0;
  return OpScratch::array_floats<kernels::NonZero>(entries) +
         OpScratch::array_floats<float>(kernels::grid_gram_sums(strips, lanes));
}

kernels::GridSkipScratch ConvOp::column_lists(std::size_t strips, OpScratch& scratch) const {
  const std::size_t lanes = kernels().lanes;
  const std::size_t entries = kernels::grid_gram_entries(s_.wide.positions(), lanes);
  kernels::GridSkipScratch lists;
  if (!scratch.skip_zeros() || entries > kernels::kMostGridEntries) return lists;
  lists.entries = scratch.array<kernels::NonZero>(entries);
  lists.sums = scratch.array<float>(kernels::grid_gram_sums(strips, lanes));
  return lists;
}

std::size_t ConvOp::piece_rows() const {
  return std::clamp(kPatchFloats / columns() / kLeastRows * kLeastRows, kLeastRows, kMostRows);
}

bool ConvOp::is_grid() const {
  const std::size_t together = s_.window.dilation.back() == 1 ? s_.window.kernel.back() : 1;
  return s_.groups == 1 && taps_ > 1 && narrow_ * together >= kLeastRun;
}

bool ConvOp::is_flipped() const {
  const std::size_t filled = (narrow_ + kHalf - 1) / kHalf * kHalf;
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

Window ConvOp::flipped_window() const {
  Window w = s_.window;
  for (std::size_t d = 0; d < w.kernel.size(); ++d)
    w.padding[d] = w.dilation[d] * (w.kernel[d] - 1) - w.padding[d];
  return w;
}

std::size_t ConvOp::grid_samples(const PaddedPatches& patches) {
  return std::clamp<std::size_t>(kPatchFloats / patches.sample_floats(), 1, kMostGridSamples);
}

}  // namespace fisherdiag
