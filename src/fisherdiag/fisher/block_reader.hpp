// The samples of a pass, read block by block.
#pragma once

#include <cstdint>
#include <future>
#include <span>
#include <utility>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/io/dataset.hpp"

namespace fisherdiag {

/// Reads all samples of a dataset, or an ascending subset of them, into one reused block; or into two in
/// turn, so that the next block is read while this one is worked on.
class BlockReader {
 public:
  /// `subset` empty: all samples.
  BlockReader(Dataset& data, std::vector<std::uint64_t> subset, std::size_t block_rows, bool with_targets);

  /// Waits for what is being read ahead.
  ~BlockReader() = default;
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;

  /// Another subset from now on.
  void select(std::vector<std::uint64_t> subset);

  /// Reads samples [first, first + count) of the chosen ones; count <= block_rows. Where these were asked for
  /// by read_ahead(), waits for them, throws what reading them threw, and returns true.
  bool read(std::size_t first, std::size_t count);
  /// Begins to read samples [first, first + count) into a second block, on a thread of its own, for the next
  /// read(). Until then nobody else may read from the dataset.
  void read_ahead(std::size_t first, std::size_t count);

  /// Of the last read().
  MatrixView<const float> inputs() const {
    return {block_.inputs.data(), block_.samples.size(), data_.features()};
  }
  /// No rows without targets.
  MatrixView<const float> targets() const;
  /// The index of each row in the dataset.
  std::span<const std::uint64_t> samples() const { return block_.samples; }

 private:
  struct Block {
    std::vector<std::uint64_t> samples;
    AlignedBuffer<float> inputs, targets;
  };

  Block make_block() const;
  void fill(Block& block, std::size_t first, std::size_t count);
  /// Waits for what is being read ahead and forgets it, errors too.
  void forget_ahead();

  Dataset& data_;
  std::vector<std::uint64_t> subset_;
  std::size_t block_rows_;
  bool with_targets_;
  Block block_, next_;
  std::size_t next_first_ = 0, next_count_ = 0;
  std::future<void> ahead_;  // last: its destructor waits for the thread that uses the others
};

}  // namespace fisherdiag
