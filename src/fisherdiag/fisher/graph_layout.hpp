// What a pass over a graph keeps from one phase to the next, and how its samples and seeds are cut.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// Depends on model, estimator and vector width alone, so that results do not depend on threads or memory.
struct GraphLayout {
  GraphLayout(const Architecture& architecture, const Estimator& estimator, Likelihood likelihood,
              std::size_t lanes, bool whole_samples = false);

  std::vector<bool> keeps_activation;      ///< per value: a matrix of weights multiplies it
  std::vector<bool> keeps_delta;           ///< per value: it is what a matrix of weights gives
  std::vector<bool> needs_delta;           ///< per value: parameters are below
  std::vector<std::size_t> vector_offset;  ///< per tensor: where it starts among the vectors' elements
  std::vector<bool> is_matrix;             ///< per tensor
  std::size_t vector_elements = 0;         ///< of all tensors that are no matrices

  std::size_t seeds = 1;       ///< per sample
  std::size_t seed_group = 1;  ///< seeds taken through both phases at a time; all with whole_samples
  /// Samples a block is a multiple of; exactly this many if there are several groups of seeds.
  std::size_t chain = 1;
  std::size_t chunk = 8;  ///< samples one thread takes at a time

  /// Samples of a block that is large enough for `threads` threads.
  std::size_t block_rows(int threads) const;
};

}  // namespace fisherdiag
