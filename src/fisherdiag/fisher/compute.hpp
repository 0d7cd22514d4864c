// The Fisher pass: blocks of samples -> forward -> seeds -> backward -> squared and accumulated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "fisherdiag/fisher/diagonal.hpp"
#include "fisherdiag/fisher/precision.hpp"
#include "fisherdiag/fisher/profile.hpp"
#include "fisherdiag/fisher/subset.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

/// Saves the state of a pass, exact to the bit, so that it can go on after an interruption or a crash.
struct CheckpointRequest {
  std::filesystem::path path;
  double every_seconds = 30;  ///< and where the pass stops or is over
  bool resume = false;        ///< goes on from the file, where it exists
};

struct FisherOptions {
  Estimator estimator;
  Likelihood likelihood = Likelihood::Categorical;
  Normalization normalization = Normalization::Mean;
  Precision precision = Precision::Float32;
  /// Leaves products with zeros (inactive units, blank pixels) out where enough of them are met; the result
  /// is the same. Float32 only.
  bool skip_zeros = true;
  std::optional<std::size_t>
      max_samples;  ///< the same as a uniform subset of this many; not with another subset
  Subset subset;    ///< drawn by estimator.seed (docs/sampling.md)
  /// Takes samples, at most subset.size, until the standard error of trace(F) is this fraction of it; then
  /// size may be missing.
  std::optional<double> until;
  std::size_t max_memory_bytes = 0;  ///< bound on memory_in_use and what the pass allocates; 0: none
  std::size_t memory_in_use = 0;     ///< bytes of that bound which are not the pass's
  bool read_ahead = true;  ///< the next block may be read, from another thread, while one is worked on
  PassProfile* profile = nullptr;  ///< records where time goes; needs a track for each thread
  /// Called before the first block and after each with samples done and in all, which grows with `until`;
  /// samples that importance looks at count twice if they are taken. Returning false stops with
  /// InterruptedError.
  std::function<bool(std::size_t done, std::size_t total)> progress;
  /// Asked within blocks from any thread; returning true stops with InterruptedError, as soon as that can be.
  std::function<bool()> stop;
  std::optional<CheckpointRequest> checkpoint;  ///< not with an importance subset
  bool force = false;                           ///< `exact` with more than kMostExactSeeds seeds too
  /// Gives the result standard errors too (standard_error.hpp), at twice the work of the accumulation: in
  /// float32, without checkpoint, importance subset and batched.
  bool standard_error = false;
};

/// Seeds per sample, C - 1 of a softmax, up to which `exact` is computed without being asked twice.
inline constexpr std::size_t kMostExactSeeds = 4096;

/// Why `exact` of more seeds than that is not computed, with its cost and what to use instead; empty where it
/// is one of fewer, another estimator or options.force.
std::string infeasible(const Architecture& architecture, const FisherOptions& options);

/// Throws ArgumentError saying so.
void require_feasible(const Architecture& architecture, const FisherOptions& options);

/// Where the time of a pass went, and its work; of a resumed one together with what came before.
struct FisherStatistics {
  double seconds = 0;          ///< the pass alone, without reading data
  double reading_seconds = 0;  ///< waiting for data
  double flops = 0;            ///< needed floating-point operations: multiply and add count one each
  std::size_t workspace_bytes = 0;
};

/// The diagonal at the network's parameters over `data`.
///
/// F = norm * sum_n sum_k (J_n^T s_nk)^2 with the seeds s of `options.estimator` (docs/estimators.md). Same
/// bits for every number of threads and every memory bound. A subset stands for the whole: with Mean its F
/// estimates that of all data, without bias; with Sum a uniform subset gives the sum over its samples, an
/// importance subset an estimate of the sum over all. Errors: ArgumentError (features differ, targets of the
/// wrong kind, an estimator the likelihood does not have, subset or until that makes no sense, memory bound
/// too small, naming what is needed), DataError (label outside the classes, a value or result that is not
/// finite, naming sample or parameter; a checkpoint that cannot be used), InterruptedError; and what reading
/// and writing a checkpoint throw.
FisherDiagonal compute_fisher(const Network& network, Dataset& data, const FisherOptions& options,
                              const Context& context, FisherStatistics* statistics = nullptr);

/// Needed flops of one sample of the pass, scores of an importance subset not included: forward + backward of
/// every seed + accumulation (docs/performance.md).
double fisher_flops_per_sample(const Architecture& architecture, const Estimator& estimator,
                               Likelihood likelihood);

/// Rows of seeds per sample: 1, C-1, C or S.
std::size_t seeds_per_sample(const Estimator& estimator, Likelihood likelihood, std::size_t outputs);

}  // namespace fisherdiag
