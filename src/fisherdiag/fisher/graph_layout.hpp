// What a pass over a graph keeps from one phase to the next, and how its samples and seeds are cut.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/fisher/value_store.hpp"
#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// Depends on model, estimator and vector width alone, so that results do not depend on threads or memory.
struct GraphLayout {
  GraphLayout(const Architecture& architecture, const Estimator& estimator, Likelihood likelihood,
              std::size_t lanes, bool whole_samples = false);

  std::vector<bool> keeps_activation;      ///< per value: a matrix that is not near multiplies it
  std::vector<bool> keeps_delta;           ///< per value: it is what such a matrix gives
  std::vector<bool> needs_delta;           ///< per value: parameters are below
  std::vector<std::size_t> vector_offset;  ///< per tensor: where it starts among the vectors' elements
  std::vector<bool> is_matrix;             ///< per tensor
  std::size_t vector_elements = 0;         ///< of all tensors that are no matrices
  /// Per tensor: a matrix whose squares are added up while a chunk goes backward, in doubles of the chunk's
  /// own: its F is small beside what would have to be kept of the samples.
  std::vector<bool> is_near;
  std::vector<bool> is_near_output;      ///< per value: it is what a near matrix gives
  bool holds_near = false;               ///< a thread has the near outputs' sensitivities to all seeds
  std::vector<std::size_t> near_offset;  ///< per tensor: where it starts among the near ones' elements
  std::size_t near_elements = 0;         ///< of all near matrices

  std::size_t seeds = 1;       ///< per sample
  std::size_t seed_group = 1;  ///< seeds taken through both phases at a time; all with whole_samples
  /// Samples a block is a multiple of; exactly this many if there are several groups of seeds.
  std::size_t chain = 1;
  std::size_t chunk = 8;  ///< samples one thread takes at a time

  /// Samples of a block that is large enough for `threads` threads.
  std::size_t block_rows(int threads) const;
  /// Doubles that a block keeps of its near matrices.
  std::size_t near_sums(std::size_t block_rows) const {
    return (block_rows + chunk - 1) / chunk * near_elements;
  }

  /// What a block of samples keeps of values, and of sensitivities for each of seed_group seeds.
  ValueStore kept_activations(const Graph& graph, std::size_t lanes, std::size_t block_rows) const;
  ValueStore kept_deltas(const Graph& graph, std::size_t lanes, std::size_t block_rows) const;
  /// What a thread needs for the other values of a chunk.
  ValueStore chunk_activations(const Graph& graph, std::size_t lanes) const;
  ValueStore chunk_deltas(const Graph& graph, std::size_t lanes) const;

 private:
  void find_matrices(const Graph& graph);
  void choose_chunk(const Graph& graph, std::size_t lanes);
  void choose_near(const Graph& graph, std::size_t lanes);
};

}  // namespace fisherdiag
