#include "fisherdiag/fisher/compute.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/checkpoint.hpp"
#include "fisherdiag/fisher/fingerprint.hpp"
#include "fisherdiag/fisher/fisher_run.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/normalize.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/request.hpp"
#include "fisherdiag/fisher/sampling.hpp"
#include "fisherdiag/fisher/shard.hpp"
#include "fisherdiag/fisher/standard_error.hpp"
#include "fisherdiag/fisher/trace_parts.hpp"
#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

namespace {

/// What a standard error needs: every sample's own square, from the first sample to the last.
void check_standard_error(const FisherOptions& options) {
  const char* reason = nullptr;
  if (options.precision != Precision::Float32) reason = "precision bf16; use float32";
  if (options.estimator.kind == EstimatorKind::Batched)
    reason = "estimator batched, which squares sums over samples";
  if (options.subset.kind == SubsetKind::Importance)
    reason = "an importance subset, whose samples are not drawn alike";
  if (options.checkpoint) reason = "a checkpoint, which does not hold their sums";
  if (reason) throw ArgumentError(std::string("no standard errors with ") + reason);
}

void check_request(const Network& network, const Dataset& data, const FisherOptions& options,
                   const Context& context) {
  require_fitting_data(network, data, options.estimator, options.likelihood);
  check_precision(options.precision, options.estimator.kind, context.isa());
  require_feasible(network.architecture(), options);
  if (options.standard_error) check_standard_error(options);
  if (options.profile && options.profile->threads() < static_cast<std::size_t>(context.threads()))
    throw ArgumentError("the profile has " + std::to_string(options.profile->threads()) + " tracks for " +
                        std::to_string(context.threads()) + " threads");
}

Sampling make_sampling(const FisherOptions& options, const Network& network, const Dataset& data) {
  Subset subset = options.subset;
  if (options.max_samples) {
    if (subset.kind != SubsetKind::All) throw ArgumentError("max_samples is a subset of its own");
    subset = {SubsetKind::Uniform, options.max_samples};
  }
  return {subset,
          options.until,
          data.size(),
          trace_part_count(network.architecture().parameters()),
          options.estimator.seed,
          options.estimator.kind != EstimatorKind::Batched};
}

/// Nothing without options.checkpoint.
std::optional<Checkpointer> make_checkpointer(const Network& network, Dataset& data,
                                              const FisherOptions& options, const Context& context) {
  if (!options.checkpoint) return std::nullopt;
  if (options.subset.kind == SubsetKind::Importance)
    throw ArgumentError("an importance subset cannot be saved in a checkpoint; use a uniform one");
  return std::optional<Checkpointer>(std::in_place, *options.checkpoint,
                                     computation_identity(network, data, options, context),
                                     network.parameters().size());
}

/// All but the samples.
FisherMetadata describe(const Network& network, const Dataset& data, const FisherOptions& options,
                        const Context& context) {
  FisherMetadata metadata;
  metadata.estimator = options.estimator;
  metadata.likelihood = options.likelihood;
  metadata.positions = network.architecture().positions();
  metadata.normalization = options.normalization;
  {
    const PassTimer timer(options.profile ? &options.profile->main_track() : nullptr, PassPhase::Digest);
    metadata.weights_sha256 = network.sha256();
  }
  metadata.data = data.name();
  metadata.isa = isa_name(context.isa());
  metadata.precision = options.precision;
  metadata.precision_unit = precision_unit(options.precision, context.isa());
  metadata.version = version();
  return metadata;
}

/// Samples [first, first + count) in sections of `section_rows`.
struct ShardRange {
  std::size_t first, count, section_rows;
};

ShardRange shard_range(const Architecture& architecture, const FisherOptions& options, std::size_t samples,
                       const ShardPlace& place, const Context& context) {
  if (place.index < 1 || place.index > place.count) throw ArgumentError("there is no shard " + place.text());
  if (options.subset.kind != SubsetKind::All || options.max_samples || options.until)
    throw ArgumentError("a shard is a part of all samples, not of a subset");
  std::size_t rows = pass_section_rows(architecture, options, samples, context);
  if (rows == 0) rows = samples;
  const std::size_t sections = (samples + rows - 1) / rows;
  // Rounded up, so that with fewer sections than shards the first ones have work.
  const auto begin = [&](std::size_t shard) {
    return std::min(samples, (shard * sections + place.count - 1) / place.count * rows);
  };
  return {begin(place.index - 1), begin(place.index) - begin(place.index - 1), rows};
}

double norm_factor(const FisherOptions& options, const Sampling& sampling) {
  if (options.normalization == Normalization::Sum) return sampling.sum_scale();
  if (options.estimator.kind != EstimatorKind::Batched) return sampling.mean_scale();
  const std::size_t batch = options.estimator.batch_size;
  return 1.0 / static_cast<double>((sampling.used() + batch - 1) / batch);
}

}  // namespace

std::string infeasible(const Architecture& architecture, const FisherOptions& options) {
  const Estimator& exact = options.estimator;
  if (exact.kind != EstimatorKind::Exact || options.force) return {};
  const std::size_t seeds =
      seed_columns(exact, options.likelihood, architecture.outputs(), architecture.positions());
  if (seeds <= kMostExactSeeds) return {};
  const auto gigaflops = [&](const Estimator& estimator) {
    return std::to_string(
        std::llround(std::ceil(1e-9 * fisher_flops_per_sample(architecture, estimator, options.likelihood))));
  };
  return "the exact Fisher of " + std::to_string(architecture.outputs()) + " outputs takes " +
         std::to_string(seeds) + " seeds and " + gigaflops(exact) +
         " Gflop for each sample; sketch and mc estimate it with one seed and " +
         gigaflops({EstimatorKind::Sketch}) + " Gflop";
}

void require_feasible(const Architecture& architecture, const FisherOptions& options) {
  const std::string reason = infeasible(architecture, options);
  if (!reason.empty()) throw ArgumentError(reason + ", and --force computes it all the same");
}

FisherDiagonal compute_fisher(const Network& network, Dataset& data, const FisherOptions& options,
                              const Context& context, FisherStatistics* statistics) {
  check_request(network, data, options, context);
  PassTrack* track = options.profile ? &options.profile->main_track() : nullptr;
  {
    const PassTimer timer(track, PassPhase::Check);
    require_finite_weights(network);
  }
  const Architecture& architecture = network.architecture();
  Sampling sampling = make_sampling(options, network, data);
  FisherOptions beside = options;  // what sampling needs is not the pass's
  beside.memory_in_use += sampling.bytes();
  const std::size_t rows = choose_block_rows(architecture, beside, sampling.bound(), context);

  std::optional<Checkpointer> checkpointer = make_checkpointer(network, data, options, context);
  FisherRun run(network, data, options, context, rows, checkpointer ? &*checkpointer : nullptr);
  run.set_read_ahead(reads_ahead(architecture, beside, sampling.bound(), rows, context));
  const AlignedBuffer<double> sum = run.sum(sampling);
  AlignedBuffer<float> values;
  {
    const PassTimer timer(track, PassPhase::Normalize);
    values = normalize(architecture.parameters(), sum, norm_factor(options, sampling));
  }
  AlignedBuffer<float> errors;
  if (options.standard_error) {
    const AlignedBuffer<double> squares = run.take_squares();
    errors = standard_errors(architecture.parameters(), sum, squares, sampling.used(),
                             norm_factor(options, sampling));
  }
  if (statistics) {
    *statistics = run.statistics();
    statistics->workspace_bytes =
        fisher_memory(architecture, beside, sampling.bound(), rows, context) + sampling.bytes();
  }

  FisherMetadata metadata = describe(network, data, options, context);
  metadata.samples = sampling.used();
  metadata.sampling = sampling.record(options.normalization == Normalization::Mean);
  return FisherDiagonal(architecture.parameters(), std::move(values), std::move(metadata), std::move(errors));
}

FisherShard compute_fisher_shard(const Network& network, Dataset& data, const FisherOptions& options,
                                 const ShardPlace& place, const Context& context,
                                 FisherStatistics* statistics) {
  check_request(network, data, options, context);
  require_finite_weights(network);
  const Architecture& architecture = network.architecture();
  if (options.standard_error)
    throw ArgumentError("no standard errors of a shard, which does not hold their sums");
  const ShardRange range = shard_range(architecture, options, data.size(), place, context);
  FisherShard shard;
  shard.place = place;
  shard.samples = range.count;
  shard.identity = computation_identity(network, data, options, context);
  shard.metadata = describe(network, data, options, context);
  shard.metadata.samples = data.size();
  if (statistics) *statistics = {};
  if (range.count == 0) return shard;

  FisherOptions beside = options;  // the sums of its sections are not the pass's
  beside.memory_in_use += (range.count + range.section_rows - 1) / range.section_rows *
                          aligned_bytes(architecture.parameter_count() * sizeof(double));
  const std::size_t rows = choose_block_rows(architecture, beside, range.count, context);
  std::optional<Checkpointer> checkpointer;
  if (options.checkpoint) {
    std::map<std::string, std::string> identity = shard.identity;
    identity["shard"] = place.text();
    checkpointer.emplace(*options.checkpoint, std::move(identity), architecture.parameter_count());
  }
  Sampling sampling({}, std::nullopt, range.count, trace_part_count(architecture.parameters()),
                    options.estimator.seed, options.estimator.kind != EstimatorKind::Batched);
  FisherRun run(network, data, options, context, rows, checkpointer ? &*checkpointer : nullptr);
  run.restrict_to(range.first, range.section_rows);
  run.set_read_ahead(reads_ahead(architecture, beside, range.count, rows, context));
  run.sum(sampling);
  shard.sections = run.take_sections();
  if (statistics) *statistics = run.statistics();
  return shard;
}

}  // namespace fisherdiag
