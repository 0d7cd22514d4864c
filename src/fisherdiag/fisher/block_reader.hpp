// The samples of a pass, read block by block.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/io/dataset.hpp"

namespace fisherdiag {

/// Reads all samples of a dataset, or an ascending subset of them, into one reused block.
class BlockReader {
 public:
  /// `subset` empty: all samples.
  BlockReader(Dataset& data, std::vector<std::uint64_t> subset, std::size_t block_rows, bool with_targets);

  /// Another subset from now on.
  void select(std::vector<std::uint64_t> subset) { subset_ = std::move(subset); }

  /// Reads samples [first, first + count) of the chosen ones; count <= block_rows.
  void read(std::size_t first, std::size_t count);

  MatrixView<const float> inputs() const { return {inputs_.data(), samples_.size(), data_.features()}; }
  /// No rows without targets.
  MatrixView<const float> targets() const;
  /// The index of each row in the dataset.
  std::span<const std::uint64_t> samples() const { return samples_; }

 private:
  Dataset& data_;
  std::vector<std::uint64_t> subset_;
  std::vector<std::uint64_t> samples_;
  AlignedBuffer<float> inputs_, targets_;
};

}  // namespace fisherdiag
