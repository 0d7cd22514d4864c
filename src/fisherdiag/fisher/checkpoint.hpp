// Saving a pass on its way and going on from there.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/fisher/compute.hpp"

namespace fisherdiag {

/// Where a pass stands between two blocks.
struct PassState {
  std::uint64_t rounds = 0;    ///< rounds of samples begun (sampling.hpp)
  std::uint64_t done = 0;      ///< samples of the last of them that are in the sums
  std::uint64_t position = 0;  ///< SectionedSum::position
  AlignedBuffer<double> running, total;
  std::vector<AlignedBuffer<double>> sections;  ///< of a shard: those that are complete
  std::vector<double> moments;                  ///< Sampling::moments
  FisherStatistics statistics;                  ///< of all the work so far
};

/// The same without owning the sums.
struct PassStateView {
  std::uint64_t rounds, done, position;
  const AlignedBuffer<double>&running, &total;
  const std::vector<AlignedBuffer<double>>& sections;
  std::vector<double> moments;
  FisherStatistics statistics;
};

/// The checkpoint file of one computation.
class Checkpointer {
 public:
  /// `identity`: of computation_identity. Throws DataError for an existing file that is not a checkpoint,
  /// with request.resume for one of another computation, and without it for one of an unfinished computation,
  /// which would be lost.
  Checkpointer(const CheckpointRequest& request, std::map<std::string, std::string> identity,
               std::size_t parameters);

  /// Once: where to go on, or nothing to begin at the beginning.
  std::optional<PassState> take_state();
  /// True if it is time to save.
  bool due() const;
  /// Atomic; `finished`: the sums are complete. Throws IoError; then the file is as it was.
  void save(const PassStateView& state, bool finished);
  const std::filesystem::path& path() const { return request_.path; }

 private:
  using Clock = std::chrono::steady_clock;

  void read(std::size_t parameters);

  CheckpointRequest request_;
  std::map<std::string, std::string> identity_;
  std::optional<PassState> state_;
  Clock::time_point saved_ = Clock::now();
};

}  // namespace fisherdiag
