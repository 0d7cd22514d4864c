#include "fisherdiag/fisher/chain_partials.hpp"

#include <algorithm>

namespace fisherdiag {

namespace {

/// Rows of F one task adds up.
constexpr std::size_t kSliceRows = 4;

std::size_t padded(std::size_t n, std::size_t lanes) {
  return (n + lanes - 1) / lanes * lanes;
}

}  // namespace

ChainPartials::ChainPartials(const Architecture& architecture, std::size_t chains, std::size_t lanes)
    : lanes_(lanes) {
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& layer = architecture.layers()[l];
    strides_.push_back(padded(layer.inputs, lanes));
    weight_offsets_.push_back(weight_floats_);
    bias_offsets_.push_back(bias_values_);
    weight_floats_ += layer.outputs * strides_.back();
    bias_values_ += layer.outputs;
    for (std::size_t row = 0; row < layer.outputs; row += kSliceRows)
      slices_.push_back({l, row, std::min(row + kSliceRows, layer.outputs)});
  }
  weights_ = AlignedBuffer<float>(chains * weight_floats_);
  biases_ = AlignedBuffer<double>(chains * bias_values_);
}

std::size_t ChainPartials::bytes(const Architecture& architecture, std::size_t chains, std::size_t lanes) {
  std::size_t total = 0;
  for (const LinearLayer& layer : architecture.layers())
    total += layer.outputs * (padded(layer.inputs, lanes) * sizeof(float) + sizeof(double));
  return chains * total;
}

void ChainPartials::add(const kernels::KernelTable& kernels, std::size_t chain, std::size_t l,
                        const kernels::ConstStrips& q, const kernels::ConstStrips& a2, bool first,
                        const kernels::SkipScratch& scratch) {
  kernels.add_outer_skip(q, a2, first, weights_.data() + chain * weight_floats_ + weight_offsets_[l],
                         strides_[l], scratch);
  double* bias = biases_.data() + chain * bias_values_ + bias_offsets_[l];
  if (first) std::fill_n(bias, q.cols, 0.0);
  kernels.column_sums(q, false, bias);
}

void ChainPartials::add_slice_to(std::size_t slice, std::size_t rows, std::size_t chain_rows,
                                 const Architecture& architecture, SectionedSum& sums) const {
  const Slice& s = slices_[slice];
  const std::size_t inputs = architecture.layers()[s.layer].inputs;
  for (std::size_t first = 0, chain = 0; first < rows; first += chain_rows, ++chain) {
    const bool ends_section = sums.ends_at(std::min(first + chain_rows, rows));
    for (std::size_t row = s.row_begin; row < s.row_end; ++row) {
      const float* partial =
          weights_.data() + chain * weight_floats_ + weight_offsets_[s.layer] + row * strides_[s.layer];
      const std::size_t weights = architecture.weight_offset(s.layer) + row * inputs;
      const std::size_t bias = architecture.bias_offset(s.layer) + row;
      double* weight = sums.data() + weights;
      for (std::size_t i = 0; i < inputs; ++i) weight[i] += static_cast<double>(partial[i]);
      sums.data()[bias] += biases_[chain * bias_values_ + bias_offsets_[s.layer] + row];
      if (!ends_section) continue;
      sums.fold(weights, inputs);
      sums.fold(bias, 1);
    }
  }
}

}  // namespace fisherdiag
