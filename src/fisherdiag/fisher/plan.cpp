#include "fisherdiag/fisher/plan.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/plan_calibration.hpp"
#include "fisherdiag/fisher/sample_scores.hpp"
#include "fisherdiag/fisher/sampling.hpp"
#include "fisherdiag/fisher/trace_parts.hpp"
#include "fisherdiag/kernels/outer.hpp"
#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

namespace {

/// A larger model would take seconds to measure and the memory of the pass itself.
constexpr std::size_t kMostCalibrationParameters = std::size_t{32} << 20;
/// Rows one thread takes through all layers before it fetches the weights again.
constexpr double kChunkRows = 128;

bool too_large(const Architecture& architecture) {
  return !architecture.graph() && architecture.parameter_count() > kMostCalibrationParameters;
}

PassTimes measure(const Architecture& architecture, const PlanRequest& request, const FisherOptions& options,
                  std::size_t block_rows, const Context& context) {
  std::optional<Network> random;
  if (!request.network || too_large(architecture)) random = Network::random(architecture, 1);
  std::unique_ptr<Dataset> synthetic;
  if (!request.data || too_large(architecture))
    synthetic =
        open_dataset("synthetic:2048", std::nullopt,
                     {architecture.inputs(), architecture.outputs(),
                      architecture.graph() ? architecture.graph()->tokens() : 0, architecture.positions()});
  return calibrate_pass(random ? *random : *request.network, synthetic ? *synthetic : *request.data, options,
                        block_rows, context);
}

/// Amdahl: what one thread does stays; the rest is shared, until memory is the limit.
ThreadPlan extrapolate(int threads, double serial, double work, double memory) {
  const double shared = work / threads;
  ThreadPlan plan{threads, serial + std::max(shared, memory), PlanLimit::Compute};
  if (memory > shared) plan.limit = PlanLimit::Memory;
  if (serial > std::max(shared, memory)) plan.limit = PlanLimit::Serial;
  return plan;
}

/// Fills in samples, block_rows and peak_bytes.
void plan_memory(FisherPlan& plan, const Architecture& architecture, const PlanRequest& request,
                 const FisherOptions& options, const Context& context) {
  const Subset subset =
      options.max_samples ? Subset{SubsetKind::Uniform, options.max_samples} : options.subset;
  const Sampling sampling(subset, options.until, request.samples, trace_part_count(architecture.parameters()),
                          options.estimator.seed, options.estimator.kind != EstimatorKind::Batched);
  plan.samples = sampling.bound();
  plan.scored_samples = sampling.needs_scores() ? request.samples : 0;
  FisherOptions bounded = options;
  bounded.memory_in_use = request.base_bytes + aligned_bytes(architecture.parameter_count() * sizeof(float)) +
                          sampling.bytes() + touched_memory(context);
  plan.block_rows = choose_block_rows(architecture, bounded, plan.samples, context);
  // Without a core to spare the next block is read ahead only where reading has to wait for its source.
  bounded.read_ahead = bounded.read_ahead && context.threads() < default_threads();
  plan.peak_bytes =
      bounded.memory_in_use + fisher_memory(architecture, bounded, plan.samples, plan.block_rows, context);
}

}  // namespace

std::string_view plan_limit_name(PlanLimit limit) {
  return limit == PlanLimit::Compute ? "compute" : limit == PlanLimit::Memory ? "memory" : "serial";
}

double fisher_bytes_moved(const Architecture& architecture, const Estimator& estimator, std::size_t samples,
                          std::size_t last_level) {
  constexpr double kFloat = sizeof(float), kDouble = sizeof(double);
  double weights = 0, strips = 0;
  if (const Graph* graph = architecture.graph()) {
    weights = 2 * static_cast<double>(architecture.parameter_count()) * kFloat;
    strips = static_cast<double>(graph->input().size()) * kFloat;
    for (const GraphNode& node : graph->nodes())
      strips += static_cast<double>(node.output.size()) * kFloat * 2;
  }
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& layer = architecture.layers()[l];
    weights += static_cast<double>(layer.inputs * layer.outputs) * kFloat * (l > 0 ? 2 : 1);
    strips += static_cast<double>(layer.inputs + layer.outputs) * kFloat;
  }
  const auto n = static_cast<double>(samples), cache = static_cast<double>(last_level);
  const double sums = static_cast<double>(architecture.parameter_count()) * kDouble;
  const auto chain =
      static_cast<double>(estimator.kind == EstimatorKind::Batched ? estimator.batch_size : kernels::kChain);
  // Samples come from memory, squared activations and sensitivities go there and come back.
  double bytes = n * (static_cast<double>(architecture.inputs()) * kFloat + 2 * strips);
  if (weights > cache) bytes += n / kChunkRows * weights;
  if (sums > cache) bytes += n / chain * 2 * sums;
  return bytes;
}

FisherPlan plan_fisher(const Architecture& architecture, const PlanRequest& request,
                       const FisherOptions& options, const Context& context) {
  check_estimator(options.estimator, options.likelihood, architecture.outputs());
  require_feasible(architecture, options);
  if (request.samples == 0) throw ArgumentError("a plan needs at least one sample");
  FisherPlan plan;
  plan_memory(plan, architecture, request, options, context);
  plan.narrowed = too_large(architecture);
  const Architecture measured =
      plan.narrowed ? narrow(architecture, kMostCalibrationParameters) : architecture;
  const PassTimes times = measure(measured, request, options, plan.block_rows, context);
  plan.calibration_seconds = times.seconds;

  const double flops = fisher_flops_per_sample(architecture, options.estimator, options.likelihood);
  const double more_work = flops / fisher_flops_per_sample(measured, options.estimator, options.likelihood);
  const double more_parameters =
      static_cast<double>(architecture.parameter_count()) / static_cast<double>(measured.parameter_count());
  const auto samples = static_cast<double>(plan.samples), scored = static_cast<double>(plan.scored_samples);
  plan.flops = samples * flops + scored * score_flops_per_sample(architecture);
  plan.fixed_seconds = more_parameters * (times.fixed_seconds + times.first_block_seconds);
  const double shared = more_work * (samples * times.row_seconds + scored * times.score_row_seconds);
  plan.seconds = plan.fixed_seconds + shared;

  plan.bytes_moved =
      fisher_bytes_moved(architecture, options.estimator, plan.samples, cache_sizes().last_level());
  plan.bytes_per_second = calibrate_bandwidth(context);
  const double memory = std::min(plan.bytes_moved / plan.bytes_per_second, shared);
  for (const int threads : request.threads)
    plan.scaling.push_back(extrapolate(threads, plan.fixed_seconds, shared * context.threads(), memory));
  return plan;
}

}  // namespace fisherdiag
