#include "fisherdiag/fisher/precision.hpp"

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/kernels/bf16.hpp"

namespace fisherdiag {

std::string_view precision_name(Precision precision) {
  return precision == Precision::Bf16 ? "bf16" : "float32";
}

std::optional<Precision> precision_from_name(std::string_view name) {
  for (Precision precision : {Precision::Float32, Precision::Bf16})
    if (name == precision_name(precision)) return precision;
  return std::nullopt;
}

double rounding_error(Precision precision) {
  return precision == Precision::Bf16 ? 5e-3 : 1e-5;
}

void check_precision(Precision precision, EstimatorKind estimator, Isa isa) {
  if (precision == Precision::Float32) return;
  if (kernels::available_bf16_units(isa).empty())
    throw UnsupportedError(
        "precision bf16 needs a CPU with AVX512_BF16 or AMX-BF16 and the instruction set avx512, " +
        (isa == Isa::Avx512 ? std::string("which this machine or build does not have")
                            : "but '" + std::string(isa_name(isa)) + "' is in use"));
  if (estimator == EstimatorKind::Batched)
    throw ArgumentError("the estimator batched has no precision bf16: it squares sums that may cancel");
}

std::string precision_unit(Precision precision, Isa isa) {
  if (precision == Precision::Float32) return {};
  const auto units = kernels::available_bf16_units(isa);
  return units.empty() ? std::string() : std::string(kernels::bf16_unit_name(units.back()));
}

}  // namespace fisherdiag
