// One computation on its way: rounds of blocks through the pass, with checkpoints.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "fisherdiag/fisher/block_reader.hpp"
#include "fisherdiag/fisher/checkpoint.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/sampling.hpp"

namespace fisherdiag {

class FisherRun {
 public:
  FisherRun(const Network& network, Dataset& data, const FisherOptions& options, const Context& context,
            std::size_t block_rows, Checkpointer* checkpointer);

  /// Before sum(): its samples are those from `first` on, and the sums of their sections of `section_rows`
  /// samples are kept apart, for take_sections().
  void restrict_to(std::size_t first, std::size_t section_rows);
  std::vector<AlignedBuffer<double>> take_sections() { return std::move(sections_); }

  /// Before sum(): the next block may be read into a second one while one is worked on (memory.hpp).
  void set_read_ahead(bool allowed) { may_read_ahead_ = allowed; }

  /// The sum over all rounds that `sampling` asks for.
  AlignedBuffer<double> sum(Sampling& sampling);
  /// After sum(): FisherPass::take_squares.
  AlignedBuffer<double> take_squares() { return std::move(squares_); }

  /// seconds, reading_seconds and flops up to now.
  FisherStatistics statistics() const;

 private:
  using Clock = std::chrono::steady_clock;

  SampleScores score();
  void add_round(Sampling& sampling, const SampleRound& round);
  void add_block(Sampling& sampling, const SampleRound& round, std::size_t count);
  /// Samples of the block that begins with sample `done` of the round; 0 at its end.
  std::size_t block_count(const SampleRound& round, std::size_t done) const;
  void read_block(const SampleRound& round, std::size_t count);
  /// The round to go on with after `sampling` was brought to where the checkpoint was written.
  const SampleRound& resume(Sampling& sampling, PassState state);
  void report_progress() const;
  void save(const Sampling& sampling, bool finished);

  const Network& network_;
  Dataset& data_;
  const FisherOptions& options_;
  const Context& context_;
  std::size_t block_rows_;
  Checkpointer* checkpointer_;  // nullptr: none
  std::unique_ptr<BlockReader> reader_;
  std::unique_ptr<FisherPass> pass_;
  AlignedBuffer<double> traces_;
  bool may_read_ahead_ = false;
  bool reading_waits_ = false;  // most of the time of the last block that was not read ahead
  std::size_t first_ = 0;
  std::size_t shard_section_rows_ = 0;           // 0: no shard
  std::vector<AlignedBuffer<double>> sections_;  // of a shard
  AlignedBuffer<double> squares_;

  Clock::time_point start_ = Clock::now();
  FisherStatistics before_;  // of the computation that is resumed
  FisherStatistics own_;     // without seconds
  double checkpoint_seconds_ = 0;
  std::size_t round_done_ = 0;  // samples of the current round that are in the sum
  std::size_t done_ = 0;        // samples that went through the network, for scores or for the sum
  std::size_t expected_ = 0;    // the same at the end, as far as known
};

}  // namespace fisherdiag
