// Drawing the samples of a pass in rounds until there are enough, and what is known about their error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fisherdiag/fisher/importance.hpp"
#include "fisherdiag/fisher/sampling_record.hpp"
#include "fisherdiag/fisher/subset.hpp"
#include "fisherdiag/fisher/trace_error.hpp"

namespace fisherdiag {

/// Samples to add to the sum.
struct SampleRound {
  std::vector<std::uint64_t> samples;  ///< ascending; empty: all of the data
  std::vector<float> weights;          ///< of each; empty: 1
  std::size_t count = 0;
  bool replaces = false;  ///< what was summed before is not part of the result
};

/// One pass's samples: all, or a subset in one round, or rounds until the relative standard error of trace(F)
/// is small enough. next() and finish_round() in turn until finished(): uniform rounds go on where the last
/// one stopped; importance rounds are independent draws, averaged by their sizes, and all of the data takes
/// their place where they would need as many samples.
class Sampling {
 public:
  /// The size of the first round with `until`; each later one doubles the number of samples.
  static constexpr std::size_t kFirstRound = 512;

  /// `subset.size` may be missing for All, and with `until`. Throws ArgumentError for a size of 0 or missing,
  /// an `until` that is not positive, and what `squares_samples` = false (batched) cannot do: importance and
  /// until.
  Sampling(const Subset& subset, std::optional<double> until, std::uint64_t population, std::size_t layers,
           std::uint64_t seed, bool squares_samples);

  /// If so, use_scores() comes before next().
  bool needs_scores() const { return subset_.kind == SubsetKind::Importance && round_end(0) < population_; }
  void use_scores(SampleScores scores) { design_.emplace(std::move(scores)); }

  const SampleRound& next();
  /// True if the current round's traces are wanted.
  bool wants_traces() const { return measured_ && !whole_; }
  /// traces [rows, layers], in double, of the next rows of the round, as BlockPass::add gives them.
  void add_traces(std::span<const double> traces);
  void finish_round();
  bool finished() const { return finished_; }

  /// Rounds begun, and what was measured in them, to go on with later: not for importance.
  std::uint64_t rounds() const { return rounds_; }
  std::vector<double> moments() const;
  /// Begins the last of `rounds` rounds with these moments: the round that next() would return then.
  /// DataError for rounds or moments that cannot be.
  const SampleRound& resume(std::uint64_t rounds, std::span<const double> moments);

  /// Most samples that may be taken, and those taken when the current round is over.
  std::size_t bound() const { return bound_; }
  std::size_t used() const { return used_; }
  /// What makes a sum over the rounds the sum over (Sum) or the mean of (Mean) all data; for All and Uniform,
  /// Sum means the samples taken.
  double sum_scale() const { return whole_ || !weighted() ? 1.0 : first_ / static_cast<double>(used_); }
  double mean_scale() const;

  SamplingRecord record(bool mean) const;

  /// Bytes allocated at most.
  std::size_t bytes() const;

 private:
  bool weighted() const { return subset_.kind == SubsetKind::Importance; }
  std::size_t round_end(std::size_t used) const;
  bool needs_all() const;
  void draw_weighted(std::size_t count);
  TraceMean trace_mean(std::size_t part) const;
  double relative_error() const;

  Subset subset_;
  std::optional<double> until_;
  std::size_t population_, layers_, bound_;
  std::uint64_t seed_;
  bool measured_;
  bool whole_ = false, finished_ = false;
  std::size_t used_ = 0;
  std::uint64_t rounds_ = 0;
  double first_ = 0;  // samples of the first round
  std::optional<ImportanceDesign> design_;
  DrawnSamples drawn_;
  std::vector<double> traces_;  // [rows so far, layers] of the round
  SampleRound round_;
  std::optional<RandomRounds> uniform_;
  UniformTraceError uniform_error_;
  ImportanceTraceError importance_error_;
};

}  // namespace fisherdiag
