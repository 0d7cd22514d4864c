#include "fisherdiag/fisher/pass.hpp"

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/bf16_pass.hpp"
#include "fisherdiag/fisher/block_pass.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/fisher/graph_pass.hpp"

namespace fisherdiag {

namespace {

GraphLayout layout_of(const Architecture& architecture, const FisherOptions& options,
                      const Context& context) {
  return {architecture, options.estimator, options.likelihood, kernels::kernel_table(context.isa()).lanes,
          options.standard_error};
}

}  // namespace

void FisherPass::throw_if_stopped() const {
  if (stop_ && stop_()) throw InterruptedError("interrupted");
}

std::unique_ptr<FisherPass> make_pass(const Network& network, const FisherOptions& options,
                                      std::size_t block_rows, std::size_t section_rows,
                                      const Context& context) {
  check_precision(options.precision, options.estimator.kind, context.isa());
  if (network.architecture().graph()) {
    if (options.precision != Precision::Float32)
      throw UnsupportedError(
          "precision bf16 covers chains of linear layers; use float32 for graphs of layers");
    return std::make_unique<GraphPass>(network, options.estimator, options.likelihood, block_rows, context,
                                       options.profile, options.skip_zeros, section_rows,
                                       options.standard_error);
  }
  if (options.precision == Precision::Float32)
    return std::make_unique<BlockPass>(network, options.estimator, options.likelihood, block_rows, context,
                                       options.profile, options.skip_zeros, section_rows,
                                       options.standard_error);
  const kernels::Bf16Unit unit = kernels::available_bf16_units(context.isa()).back();
  return std::make_unique<Bf16Pass>(network, options.estimator, options.likelihood, block_rows, context,
                                    kernels::bf16_kernels(unit), options.profile, section_rows);
}

std::size_t pass_section_rows(const Architecture& architecture, const FisherOptions& options,
                              std::size_t samples, const Context& context) {
  if (options.subset.kind != SubsetKind::All || options.max_samples || options.until) return 0;
  // One seed's: what more of them cost does not make sections shorter.
  const double flops = architecture.graph()
                           ? fisher_flops_per_sample(architecture, {}, Likelihood::Categorical) /
                                 static_cast<double>(architecture.parameter_count())
                           : kChainFlopsPerParameter;
  const std::size_t rows = section_rows(architecture.parameter_count(),
                                        pass_chain_rows(architecture, options, context), samples, flops);
  return rows < samples ? rows : 0;
}

std::size_t pass_chain_rows(const Architecture& architecture, const FisherOptions& options,
                            const Context& context) {
  if (architecture.graph()) return layout_of(architecture, options, context).chain;
  return options.precision == Precision::Bf16 ? Bf16Pass::chain_rows()
                                              : BlockPass::chain_rows(options.estimator);
}

std::size_t pass_block_rows(const Architecture& architecture, const FisherOptions& options,
                            const Context& context) {
  if (architecture.graph()) return layout_of(architecture, options, context).block_rows(context.threads());
  return static_cast<std::size_t>(context.threads()) *
         (options.precision == Precision::Bf16
              ? Bf16Pass::kRowsPerThread
              : BlockPass::rows_per_thread(architecture, options.estimator, context));
}

std::size_t pass_bytes(const Architecture& architecture, const FisherOptions& options, std::size_t block_rows,
                       const Context& context) {
  const auto bytes = architecture.graph() && options.standard_error ? &GraphPass::bytes_with_squares
                     : architecture.graph()                         ? &GraphPass::bytes
                     : options.precision == Precision::Bf16         ? &Bf16Pass::bytes
                     : options.standard_error                       ? &BlockPass::bytes_with_squares
                                                                    : &BlockPass::bytes;
  return bytes(architecture, options.estimator, options.likelihood, block_rows, context);
}

}  // namespace fisherdiag
