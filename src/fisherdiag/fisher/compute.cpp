#include "fisherdiag/fisher/compute.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/block_pass.hpp"
#include "fisherdiag/fisher/block_reader.hpp"
#include "fisherdiag/fisher/subset.hpp"

namespace fisherdiag {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Rows per block and thread: two synchronisations per block, so enough that they do not show.
constexpr std::size_t kRowsPerThread = 1024;
/// Blocks larger than this leave the caches of any machine and gain nothing.
constexpr std::size_t kMostBlockBytes = std::size_t{96} << 20;

void check_request(const Network& network, const Dataset& data, const FisherOptions& options) {
  const Architecture& architecture = network.architecture();
  check_estimator(options.estimator, options.likelihood, architecture.outputs());
  if (data.size() == 0) throw DataError(data.name() + ": no samples");
  if (options.max_samples && *options.max_samples == 0) throw ArgumentError("a Fisher pass needs at least one sample");
  if (data.features() != architecture.inputs())
    throw ArgumentError(data.name() + " has " + std::to_string(data.features()) + " features per sample but the model takes " +
                        std::to_string(architecture.inputs()));
  if (!needs_targets(options.estimator.kind)) return;
  const bool categorical = options.likelihood == Likelihood::Categorical;
  const std::size_t width = categorical ? 1 : architecture.outputs();
  if (data.target_kind() == TargetKind::None || data.target_width() != width ||
      (categorical && data.target_kind() != TargetKind::Labels))
    throw ArgumentError("the " + std::string(estimator_name(options.estimator.kind)) + " estimator with " +
                        std::string(likelihood_name(options.likelihood)) + " likelihood needs " +
                        (categorical ? "one class label" : std::to_string(width) + " target values") +
                        " per sample, which " + data.name() + " does not give");
}

/// A weight that is not finite may hide behind an inactive unit, so the outputs alone do not tell.
void require_finite_weights(const Network& network) {
  for (const ParameterTensor& tensor : network.architecture().parameters())
    for (std::size_t i = 0; i < tensor.size; ++i)
      if (!std::isfinite(network.parameters()[tensor.offset + i]))
        throw DataError("element " + std::to_string(i) + " of parameter '" + tensor.name + "' is not finite");
}

/// A multiple of the chain: as large as helps, as small as the memory bound asks.
std::size_t choose_block_rows(const Architecture& architecture, const FisherOptions& options, std::size_t samples,
                              const Context& context) {
  const std::size_t chain = BlockPass::chain_rows(options.estimator);
  const auto chains = [&](std::size_t rows) { return std::max<std::size_t>(rows / chain, 1) * chain; };
  std::size_t rows = chains(kRowsPerThread * static_cast<std::size_t>(context.threads()));
  rows = std::min(rows, (samples + chain - 1) / chain * chain);
  const auto bytes = [&](std::size_t r) {
    return BlockPass::bytes(architecture, options.estimator, options.likelihood, r, context);
  };
  const std::size_t fixed = 2 * bytes(chain) - bytes(2 * chain);
  while (rows > chain && bytes(rows) - fixed > kMostBlockBytes) rows = chains(rows / 2);
  if (options.max_memory_bytes) {
    while (rows > chain && bytes(rows) > options.max_memory_bytes) rows = chains(rows / 2);
    if (bytes(rows) > options.max_memory_bytes)
      throw ArgumentError("the pass needs at least " + std::to_string((bytes(rows) >> 20) + 1) +
                          " MiB but is allowed " + std::to_string(options.max_memory_bytes >> 20) + " MiB");
  }
  return rows;
}

/// sum * norm in float; a value that does not fit is an error naming its parameter.
AlignedBuffer<float> normalize(const Architecture& architecture, const AlignedBuffer<double>& sum, double norm) {
  AlignedBuffer<float> values(sum.size());
  for (const ParameterTensor& tensor : architecture.parameters())
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      const double value = norm * sum[i];
      if (!(value <= std::numeric_limits<float>::max()))
        throw DataError("the Fisher value of element " + std::to_string(i - tensor.offset) + " of '" + tensor.name +
                        "' is not finite; the network's outputs or inputs are too large");
      values[i] = static_cast<float>(value);
    }
  return values;
}

double norm_factor(const FisherOptions& options, std::size_t samples) {
  if (options.normalization == Normalization::Sum) return 1.0;
  if (options.estimator.kind != EstimatorKind::Batched) return 1.0 / static_cast<double>(samples);
  const std::size_t batches = (samples + options.estimator.batch_size - 1) / options.estimator.batch_size;
  return 1.0 / static_cast<double>(batches);
}

}  // namespace

FisherDiagonal compute_fisher(const Network& network, Dataset& data, const FisherOptions& options,
                              const Context& context, FisherStatistics* statistics) {
  check_request(network, data, options);
  require_finite_weights(network);
  const Architecture& architecture = network.architecture();
  std::vector<std::uint64_t> subset;
  if (options.max_samples && *options.max_samples < data.size())
    subset = random_subset(data.size(), *options.max_samples, options.estimator.seed);
  const std::size_t samples = subset.empty() ? data.size() : subset.size();
  const std::size_t rows = choose_block_rows(architecture, options, samples, context);

  FisherStatistics own;
  own.workspace_bytes = BlockPass::bytes(architecture, options.estimator, options.likelihood, rows, context);
  own.flops = static_cast<double>(samples) * fisher_flops_per_sample(architecture, options.estimator, options.likelihood);
  const Clock::time_point start = Clock::now();
  BlockReader reader(data, std::move(subset), std::min(rows, samples), needs_targets(options.estimator.kind));
  AlignedBuffer<double> sum;
  {
    BlockPass pass(network, options.estimator, options.likelihood, rows, context);
    for (std::size_t done = 0; done < samples;) {
      const std::size_t count = std::min(rows, samples - done);
      const Clock::time_point reading = Clock::now();
      reader.read(done, count);
      own.reading_seconds += seconds_since(reading);
      pass.add(reader.inputs(), reader.targets(), reader.samples());
      done += count;
      if (options.progress && !options.progress(done, samples)) throw InterruptedError("interrupted");
    }
    sum = pass.take_sum();
  }
  AlignedBuffer<float> values = normalize(architecture, sum, norm_factor(options, samples));
  own.seconds = seconds_since(start) - own.reading_seconds;
  if (statistics) *statistics = own;

  FisherMetadata metadata;
  metadata.estimator = options.estimator;
  metadata.likelihood = options.likelihood;
  metadata.normalization = options.normalization;
  metadata.samples = samples;
  metadata.weights_sha256 = network.sha256();
  metadata.data = data.name();
  metadata.isa = isa_name(context.isa());
  metadata.version = version();
  return FisherDiagonal(architecture.parameters(), std::move(values), std::move(metadata));
}

}  // namespace fisherdiag
