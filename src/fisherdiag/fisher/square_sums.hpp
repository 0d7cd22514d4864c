// Sums of the squares of what single samples add to F, for standard errors. Internal to fisher/.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/fisher/chain_partials.hpp"
#include "fisherdiag/fisher/sections.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/architecture.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

/// S_i = sum_n f_ni^2, where sample n adds f_ni to element i of F. For a dense layer f = q_no a_ni^2
/// factorises, and so does its square: the same matrix product as F's, on operands squared once more.
///
/// The float operands bound what counts: f below 2^-83 (1e-25) as 0, and f above 2^43 makes S infinite.
class SquareSums {
 public:
  SquareSums() = default;
  /// For `rows` samples at a time; `chains`: of a block that is summed chain by chain (ChainPartials), or 0.
  SquareSums(const Architecture& architecture, std::size_t rows, std::size_t chains, std::size_t lanes);
  static std::size_t bytes(const Architecture& architecture, std::size_t rows, std::size_t chains,
                           std::size_t lanes);

  bool empty() const { return layers_.empty(); }

  /// Takes rows [first, ...) of layer `l`: its Q and A^2 of as many rows.
  void put(std::size_t l, std::size_t first, const kernels::ConstStrips& q, const kernels::ConstStrips& a2);
  /// Adds samples [first, first + count) of the block, one chain, to a tile of layer `l`'s S; a tile of the
  /// first strip adds the bias of its rows too.
  void add(const kernels::KernelTable& kernels, std::size_t l, const kernels::OuterRange& range,
           std::size_t first, std::size_t count, const kernels::SkipScratch& scratch);
  /// The two steps of ChainPartials: rows [first, first + count) of layer `l` into a chain's own sums, and a
  /// slice of these into S.
  void add_to_chain(const kernels::KernelTable& kernels, std::size_t chain, std::size_t l, std::size_t first,
                    std::size_t count, bool begins, const kernels::SkipScratch& scratch);
  void add_slice(std::size_t slice, std::size_t rows, std::size_t chain_rows,
                 const Architecture& architecture) {
    partials_.add_slice_to(slice, rows, chain_rows, architecture, sums_);
  }

  /// S in parameter order. The object is empty afterwards.
  AlignedBuffer<double> take();

 private:
  struct Layer {
    std::size_t inputs, weights, biases;  // offsets in S
    StripBuffer left, right;              // (scaled Q)^2 and A^4
  };

  std::size_t lanes_ = 0;
  std::vector<Layer> layers_;
  ChainPartials partials_;
  SectionedSum sums_;  // one section
};

}  // namespace fisherdiag
