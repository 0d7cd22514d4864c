#include "fisherdiag/fisher/pass.hpp"

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/bf16_pass.hpp"
#include "fisherdiag/fisher/block_pass.hpp"

namespace fisherdiag {

void FisherPass::throw_if_stopped() const {
  if (stop_ && stop_()) throw InterruptedError("interrupted");
}

std::unique_ptr<FisherPass> make_pass(const Network& network, const FisherOptions& options,
                                      std::size_t block_rows, std::size_t section_rows,
                                      const Context& context) {
  check_precision(options.precision, options.estimator.kind, context.isa());
  if (options.precision == Precision::Float32)
    return std::make_unique<BlockPass>(network, options.estimator, options.likelihood, block_rows, context,
                                       options.profile, options.skip_zeros, section_rows);
  const kernels::Bf16Unit unit = kernels::available_bf16_units(context.isa()).back();
  return std::make_unique<Bf16Pass>(network, options.estimator, options.likelihood, block_rows, context,
                                    kernels::bf16_kernels(unit), options.profile, section_rows);
}

std::size_t pass_section_rows(const Architecture& architecture, const FisherOptions& options,
                              std::size_t samples) {
  if (options.subset.kind != SubsetKind::All || options.max_samples || options.until) return 0;
  const std::size_t rows = section_rows(architecture.parameter_count(), pass_chain_rows(options), samples);
  return rows < samples ? rows : 0;
}

std::size_t pass_chain_rows(const FisherOptions& options) {
  return options.precision == Precision::Bf16 ? Bf16Pass::chain_rows()
                                              : BlockPass::chain_rows(options.estimator);
}

std::size_t pass_rows_per_thread(const Architecture& architecture, const FisherOptions& options,
                                 const Context& context) {
  return options.precision == Precision::Bf16
             ? Bf16Pass::kRowsPerThread
             : BlockPass::rows_per_thread(architecture, options.estimator, context);
}

std::size_t pass_bytes(const Architecture& architecture, const FisherOptions& options, std::size_t block_rows,
                       const Context& context) {
  const auto bytes = options.precision == Precision::Bf16 ? &Bf16Pass::bytes : &BlockPass::bytes;
  return bytes(architecture, options.estimator, options.likelihood, block_rows, context);
}

}  // namespace fisherdiag
