// Convolutions and their transposes: products of patches with the weight.
//
// Both have a wide side, whose positions each see `taps` positions of the narrow side, and a weight [wide
// channels, narrow channels of a group, taps]. A convolution's output is the wide side, a transposed one's
// input. Columns of patches are ordered taps first, so that channels stay together.
//
// Internal to nn/: op_conv.cpp makes them, conv_op.cpp lays out, conv_products.cpp goes forward and backward,
// conv_accumulate.cpp sums squares.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fisherdiag/nn/ops.hpp"
#include "fisherdiag/nn/padded_patches.hpp"
#include "fisherdiag/nn/position_table.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

struct ConvShape {
  bool transposed = false;
  std::size_t groups = 1;
  ValueShape wide, narrow;
  Window window;
};

class ConvOp final : public Op {
 public:
  ConvOp(ConvShape shape, bool bias);

  OpFlops flops() const override;
  void prepare(const kernels::KernelTable& kernels) override;
  void pack(std::span<const std::span<const float>> parameters) override;
  std::size_t packed_bytes(std::size_t lanes) const override;
  std::size_t scratch_floats(std::size_t lanes) const override;
  void forward(const OpForward& f) const override;
  void backward(const OpBackward& b) const override;
  GradientMatrix gradient_matrix() const override { return {s_.wide.features, columns()}; }
  std::size_t accumulate_samples() const override;
  void accumulate(const OpAccumulate& a) const override;
  /// Of others a seed's operands are made one after the other.
  bool sums_squares() const override { return sums_apart(kernels().lanes); }
  bool sums_apart(std::size_t lanes) const override {
    return !s_.transposed && (s_.groups == 1 || wide_ % lanes == 0);
  }
  void add_gradient(const OpAccumulate& a, float* target, std::size_t stride) const override;
  std::size_t parameter_index(std::size_t row, std::size_t column) const override {
    return (row * narrow_ + column % narrow_) * taps_ + column / narrow_;
  }

 private:
  /// The side that patches are taken from, and its padded copy if it needs one.
  struct Source {
    kernels::ConstStrips narrow;
    const float* grid;
  };
  struct Patches {
    kernels::ConstStrips left, right;  // channels of the wide side; what they see
    std::size_t group, strip;          // strip: the first of right within the matrix
  };

  /// Of the patches of one group.
  std::size_t columns() const { return taps_ * narrow_; }
  std::size_t rows_bytes() const { return (taps_ + 1) * s_.wide.positions() * sizeof(std::int32_t); }
  std::size_t bias_step() const {
    const std::size_t lanes = kernels().lanes;
    return (wide_ + lanes - 1) / lanes * lanes;
  }
  /// Rows of patches that are gathered at a time.
  std::size_t piece_rows() const;
  /// Products read patches from a padded copy of the narrow side, in which a kernel row is a run of numbers.
  bool is_grid() const;
  /// Patches are read or put together from a padded copy: where channels do not fill vectors, unless they are
  /// single positions.
  bool is_padded(std::size_t lanes) const { return is_grid() || (taps_ > 1 && narrow_ % lanes != 0); }
  /// The transpose of a window that moves by one is a window too, with the kernel the other way round: from a
  /// padded copy of the wide side. Not where there is much more to multiply that way.
  bool is_flipped() const;
  Window flipped_window() const;
  void allocate();
  void pack_flipped(const std::vector<float>& ordered);

  /// Samples whose padded copies are made at a time.
  std::size_t samples_at_once() const { return std::max<std::size_t>(piece_rows() / s_.wide.positions(), 1); }
  static std::size_t grid_samples(const PaddedPatches& patches);
  /// Room for products that leave out zeros: of the wide side's padded copy, of its channels.
  std::size_t flipped_list_floats(std::size_t lanes) const;
  kernels::GridSkipScratch flipped_lists(OpScratch& scratch) const;
  std::size_t column_list_floats(std::size_t strips, std::size_t lanes) const;
  kernels::GridSkipScratch column_lists(std::size_t strips, OpScratch& scratch) const;
  kernels::PatchTable patches(std::size_t group) const {
    return {rows_.data(), taps_, s_.wide.positions(), s_.narrow.positions(), group * narrow_, narrow_};
  }
  /// The wide side's channels of one group.
  kernels::PatchTable group_channels(std::size_t group) const {
    return {same_.data(), 1, s_.wide.positions(), s_.wide.positions(), group * wide_, wide_};
  }
  bool group_is_strips(std::size_t group) const { return group * wide_ % kernels().lanes == 0; }
  kernels::ConstStrips group_rows(const kernels::ConstStrips& wide, std::size_t group, std::size_t first,
                                  std::size_t count, OpScratch& scratch) const;
  Source source_of(const kernels::ConstStrips& narrow, std::size_t first, std::size_t count,
                   OpScratch& scratch) const;
  void gather(const Source& source, std::size_t group, std::size_t row, std::size_t strip,
              const kernels::Strips& seen) const;

  void grid_product(const kernels::ConstStrips& narrow, const kernels::Strips& wide, bool add,
                    const float* bias, OpScratch& scratch) const;
  void flipped_product(const kernels::ConstStrips& wide, const kernels::Strips& narrow, bool add,
                       OpScratch& scratch) const;
  void gather_product(const kernels::ConstStrips& narrow, const kernels::Strips& wide, bool add,
                      const float* bias, OpScratch& scratch) const;
  void gather_product(const Source& source, const kernels::Strips& wide, bool add, const float* bias,
                      OpScratch& scratch) const;
  void scatter_product(const kernels::ConstStrips& wide, const kernels::Strips& narrow, bool add,
                       OpScratch& scratch) const;
  /// The product's result needs no further step.
  bool is_direct(bool add) const { return !add && (s_.groups == 1 || wide_ % kernels().lanes == 0); }

  template <class F>
  void for_patches(const OpAccumulate& a, std::span<const kernels::ConstStrips> deltas, const F& f) const;
  bool accumulate_on_grid(const OpAccumulate& a) const;
  void accumulate_gathered(const OpAccumulate& a) const;
  void add_squares(const OpAccumulate& a) const;

  ConvShape s_;
  std::size_t taps_ = 0, wide_ = 0, narrow_ = 0;  // channels of one group
  std::vector<std::int32_t> rows_, same_;
  std::optional<PaddedPatches> padded_, flipped_;
  StripBuffer flipped_weights_;
  std::vector<StripBuffer> gathered_, scattered_;  // per group: [columns, wide] and [wide, columns]
  AlignedBuffer<float> bias_;
};

/// Columns of patches that are accumulated together.
inline constexpr std::size_t kConvStripsAtOnce = 6;

}  // namespace fisherdiag
