#include "fisherdiag/fisher/compute.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/block_reader.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/request.hpp"
#include "fisherdiag/fisher/sample_scores.hpp"
#include "fisherdiag/fisher/sampling.hpp"
#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check_request(const Network& network, const Dataset& data, const FisherOptions& options,
                   const Context& context) {
  require_fitting_data(network, data, options.estimator, options.likelihood);
  check_precision(options.precision, options.estimator.kind, context.isa());
  if (options.profile && options.profile->threads() < static_cast<std::size_t>(context.threads()))
    throw ArgumentError("the profile has " + std::to_string(options.profile->threads()) + " tracks for " +
                        std::to_string(context.threads()) + " threads");
}

/// sum * norm in float; a value that does not fit is an error naming its parameter.
AlignedBuffer<float> normalize(const Architecture& architecture, const AlignedBuffer<double>& sum,
                               double norm) {
  AlignedBuffer<float> values(sum.size());
  for (const ParameterTensor& tensor : architecture.parameters())
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      const double value = norm * sum[i];
      if (!(value <= std::numeric_limits<float>::max()))
        throw DataError("the Fisher value of element " + std::to_string(i - tensor.offset) + " of '" +
                        tensor.name + "' is not finite; the network's outputs or inputs are too large");
      values[i] = static_cast<float>(value);
    }
  return values;
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
          network.architecture().layers().size(),
          options.estimator.seed,
          options.estimator.kind != EstimatorKind::Batched};
}

/// One computation: its options, what it uses and what it counts.
struct Run {
  const Network& network;
  Dataset& data;
  const FisherOptions& options;
  const Context& context;
  FisherStatistics& statistics;
  std::size_t block_rows;
  std::size_t done = 0;      // samples that went through the network, whether for scores or for the sum
  std::size_t expected = 0;  // the same at the end, as far as known

  void report_progress() const {
    if (options.progress && !options.progress(done, expected)) throw InterruptedError("interrupted");
  }
};

SampleScores score(Run& run) {
  ScoreOptions options{
      run.options.estimator, run.options.likelihood, run.block_rows, run.options.profile, {}};
  run.expected = run.data.size() + (run.options.until ? 0 : run.options.subset.size.value_or(0));
  options.progress = [&](std::size_t done) {
    run.done = done;
    run.report_progress();
    return true;
  };
  run.statistics.flops +=
      static_cast<double>(run.data.size()) * score_flops_per_sample(run.network.architecture());
  return score_samples(run.network, run.data, options, run.context, run.statistics.reading_seconds);
}

void add_round(Run& run, Sampling& sampling, const SampleRound& round, BlockReader& reader,
               FisherPass& pass) {
  PassTrack* track = run.options.profile ? &run.options.profile->main_track() : nullptr;
  const Architecture& architecture = run.network.architecture();
  const std::size_t layers = architecture.layers().size();
  AlignedBuffer<double> traces(sampling.wants_traces() ? std::min(run.block_rows, round.count) * layers : 0);
  run.statistics.flops +=
      static_cast<double>(round.count) *
      fisher_flops_per_sample(architecture, run.options.estimator, run.options.likelihood);
  reader.select(round.samples);
  if (round.replaces) pass.clear();
  for (std::size_t done = 0; done < round.count;) {
    const std::size_t count = std::min(run.block_rows, round.count - done);
    const Clock::time_point reading = Clock::now();
    {
      const PassTimer timer(track, PassPhase::Read);
      reader.read(done, count);
    }
    run.statistics.reading_seconds += seconds_since(reading);
    const std::span<const float> weights(round.weights);
    pass.add(reader.inputs(), reader.targets(), reader.samples(),
             weights.empty() ? weights : weights.subspan(done, count),
             {traces.data(), traces.empty() ? 0 : count, layers});
    sampling.add_traces({traces.data(), traces.empty() ? 0 : count * layers});
    done += count;
    run.done += count;
    run.report_progress();
  }
}

/// The sum over all rounds that `sampling` asks for.
AlignedBuffer<double> sum_rounds(Run& run, Sampling& sampling) {
  if (sampling.needs_scores()) sampling.use_scores(score(run));
  BlockReader reader(run.data, {}, std::min(run.block_rows, sampling.bound()),
                     needs_targets(run.options.estimator.kind));
  const std::unique_ptr<FisherPass> pass = make_pass(run.network, run.options, run.block_rows, run.context);
  do {
    const SampleRound& round = sampling.next();
    run.expected = run.done + round.count;
    add_round(run, sampling, round, reader, *pass);
    sampling.finish_round();
  } while (!sampling.finished());
  return pass->take_sum();
}

double norm_factor(const FisherOptions& options, const Sampling& sampling) {
  if (options.normalization == Normalization::Sum) return sampling.sum_scale();
  if (options.estimator.kind != EstimatorKind::Batched) return sampling.mean_scale();
  const std::size_t batch = options.estimator.batch_size;
  return 1.0 / static_cast<double>((sampling.used() + batch - 1) / batch);
}

}  // namespace

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

  FisherStatistics own;
  own.workspace_bytes =
      fisher_memory(architecture, options, sampling.bound(), rows, context) + sampling.bytes();
  const Clock::time_point start = Clock::now();
  Run run{network, data, options, context, own, rows};
  const AlignedBuffer<double> sum = sum_rounds(run, sampling);
  AlignedBuffer<float> values;
  {
    const PassTimer timer(track, PassPhase::Normalize);
    values = normalize(architecture, sum, norm_factor(options, sampling));
  }
  own.seconds = seconds_since(start) - own.reading_seconds;
  if (statistics) *statistics = own;

  FisherMetadata metadata;
  metadata.estimator = options.estimator;
  metadata.likelihood = options.likelihood;
  metadata.normalization = options.normalization;
  metadata.samples = sampling.used();
  metadata.sampling = sampling.record(options.normalization == Normalization::Mean);
  {
    const PassTimer timer(track, PassPhase::Digest);
    metadata.weights_sha256 = network.sha256();
  }
  metadata.data = data.name();
  metadata.isa = isa_name(context.isa());
  metadata.precision = options.precision;
  metadata.precision_unit = precision_unit(options.precision, context.isa());
  metadata.version = version();
  return FisherDiagonal(architecture.parameters(), std::move(values), std::move(metadata));
}

}  // namespace fisherdiag
