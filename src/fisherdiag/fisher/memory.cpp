#include "fisherdiag/fisher/memory.hpp"

#include <algorithm>
#include <string>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/graph_scores.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace {

/// Blocks larger than this leave the caches of any machine and gain nothing.
constexpr std::size_t kMostBlockBytes = std::size_t{64} << 20;
/// What the tool was measured to touch beyond its buffers once it runs, mostly code, the heap's own pages and
/// what buffers leave of a huge page: 0.5 to 3 MiB, and less than 0.1 MiB for every thread.
constexpr std::size_t kTouchedBytes = std::size_t{3} << 20;
constexpr std::size_t kTouchedBytesPerThread = std::size_t{1} << 17;

std::string mebibytes(std::size_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

/// What is left in the heap of the block with which an importance subset looked at every sample; a large one
/// goes back to the system.
std::size_t left_over(std::size_t bytes) {
  return bytes < kLeastPagedBytes ? bytes : 0;
}

/// Samples, targets and indices of one block.
std::size_t block_bytes(const Architecture& architecture, const FisherOptions& options, std::size_t samples,
                        std::size_t block_rows) {
  const std::size_t rows = std::min(block_rows, samples);
  // Labels of sequences say which positions count, whatever the estimator.
  const bool reads = needs_targets(options.estimator.kind) || architecture.positions() > 1;
  const std::size_t targets =
      reads ? target_width(options.likelihood, architecture.outputs(), architecture.positions()) : 0;
  return aligned_bytes(rows * architecture.inputs() * sizeof(float)) +
         aligned_bytes(rows * targets * sizeof(float)) + rows * sizeof(std::uint64_t);
}

/// With one block.
std::size_t least_memory(const Architecture& architecture, const FisherOptions& options, std::size_t samples,
                         std::size_t block_rows, const Context& context) {
  const std::size_t inputs =
      aligned_bytes(std::min(block_rows, samples) * architecture.inputs() * sizeof(float));
  std::size_t total = block_bytes(architecture, options, samples, block_rows);
  if (options.subset.kind == SubsetKind::Importance) total += left_over(inputs);
  std::size_t pass = pass_bytes(architecture, options, block_rows, context);
  if (pass_section_rows(architecture, options, samples, context))
    pass += aligned_bytes(architecture.parameter_count() * sizeof(double));
  if (options.subset.kind == SubsetKind::Importance && architecture.graph())
    pass = std::max(pass, graph_scorer_bytes(architecture, options.estimator, options.likelihood, context));
  // Afterwards the sums and the result they become are alive together; with standard errors twice.
  const std::size_t result = aligned_bytes(architecture.parameter_count() * sizeof(double)) +
                             aligned_bytes(architecture.parameter_count() * sizeof(float));
  return total + std::max(pass, options.standard_error ? 2 * result : result);
}

}  // namespace

bool reads_ahead(const Architecture& architecture, const FisherOptions& options, std::size_t samples,
                 std::size_t block_rows, const Context& context) {
  if (!options.read_ahead || samples <= block_rows) return false;
  // What the heap keeps of looking at every sample first is not known well enough for a second block beside
  // it.
  if (options.max_memory_bytes && options.subset.kind == SubsetKind::Importance) return false;
  const std::size_t bytes = options.memory_in_use +
                            least_memory(architecture, options, samples, block_rows, context) +
                            block_bytes(architecture, options, samples, block_rows);
  return !options.max_memory_bytes || bytes <= options.max_memory_bytes;
}

std::size_t fisher_memory(const Architecture& architecture, const FisherOptions& options, std::size_t samples,
                          std::size_t block_rows, const Context& context) {
  const std::size_t least = least_memory(architecture, options, samples, block_rows, context);
  return reads_ahead(architecture, options, samples, block_rows, context)
             ? least + block_bytes(architecture, options, samples, block_rows)
             : least;
}

std::size_t touched_memory(const Context& context) {
  return kTouchedBytes + kTouchedBytesPerThread * static_cast<std::size_t>(context.threads());
}

std::size_t choose_block_rows(const Architecture& architecture, const FisherOptions& options,
                              std::size_t samples, const Context& context) {
  const std::size_t chain = pass_chain_rows(architecture, options, context);
  const auto chains = [&](std::size_t rows) { return std::max<std::size_t>(rows / chain, 1) * chain; };
  std::size_t rows = chains(pass_block_rows(architecture, options, context));
  rows = std::min(rows, (samples + chain - 1) / chain * chain);
  const auto bytes_with = [&](std::size_t r) { return pass_bytes(architecture, options, r, context); };
  const std::size_t fixed = bytes_with(0);
  while (rows > chain && bytes_with(rows) - fixed > kMostBlockBytes) rows = chains(rows / 2);
  if (!options.max_memory_bytes) return rows;
  const auto bytes = [&](std::size_t r) {
    return options.memory_in_use + fisher_memory(architecture, options, samples, r, context);
  };
  std::size_t least = 1, most = rows / chain;  // chains of the largest block that fits
  while (least < most) {
    const std::size_t middle = (least + most + 1) / 2;
    if (bytes(middle * chain) <= options.max_memory_bytes)
      least = middle;
    else
      most = middle - 1;
  }
  rows = least * chain;
  if (bytes(rows) > options.max_memory_bytes)
    throw ArgumentError("this computation needs at least " + mebibytes(bytes(rows)) +
                        " of memory but is allowed " + std::to_string(options.max_memory_bytes >> 20) +
                        " MiB");
  return rows;
}

}  // namespace fisherdiag
