// Partial sums of a small F, one per chain of samples.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/fisher/sections.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// Each chain has a float partial of every layer's F. Chains are summed by any thread and added to F in their
/// own order, which gives the bits of summing them into F one after the other.
class ChainPartials {
 public:
  ChainPartials() = default;
  ChainPartials(const Architecture& architecture, std::size_t chains, std::size_t lanes);
  static std::size_t bytes(const Architecture& architecture, std::size_t chains, std::size_t lanes);

  bool empty() const { return weights_.empty(); }

  /// Adds q [n, outputs] and a2 [n, inputs] of layer `l` to a chain's partial; `first`: it starts with these.
  void add(const kernels::KernelTable& kernels, std::size_t chain, std::size_t l,
           const kernels::ConstStrips& q, const kernels::ConstStrips& a2, bool first,
           const kernels::SkipScratch& scratch);

  /// F is cut into this many slices.
  std::size_t slices() const { return slices_.size(); }
  /// Adds the partials of one slice to the sums, chain after chain: those of `rows` samples in chains of
  /// `chain_rows`.
  void add_slice_to(std::size_t slice, std::size_t rows, std::size_t chain_rows,
                    const Architecture& architecture, SectionedSum& sums) const;

 private:
  struct Slice {
    std::size_t layer, row_begin, row_end;
  };

  std::size_t lanes_ = 0;
  std::size_t weight_floats_ = 0;  // of one chain
  std::size_t bias_values_ = 0;
  std::vector<std::size_t> weight_offsets_, bias_offsets_, strides_;
  std::vector<Slice> slices_;
  AlignedBuffer<float> weights_;
  AlignedBuffer<double> biases_;
};

}  // namespace fisherdiag
