// In what precision a pass multiplies.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fisherdiag/base/isa.hpp"
#include "fisherdiag/likelihood/estimator.hpp"

namespace fisherdiag {

enum class Precision {
  Float32,
  Bf16,  ///< operands of matrix products rounded to bfloat16, sums in float32 (docs/numerics.md)
};

/// "float32" or "bf16".
std::string_view precision_name(Precision precision);
/// The inverse of precision_name; nullopt for any other text.
std::optional<Precision> precision_from_name(std::string_view name);

/// Normwise relative error against float64 that tests hold the pass to (docs/numerics.md): 1e-5, 5e-3.
double rounding_error(Precision precision);

/// Throws UnsupportedError if this machine has no bfloat16 products at `isa`, ArgumentError for the estimator
/// batched in bf16, which would square rounded sums.
void check_precision(Precision precision, EstimatorKind estimator, Isa isa);

/// What multiplies at `precision`, since bits depend on it: "" for float32, else "amx_bf16" or "avx512_bf16".
std::string precision_unit(Precision precision, Isa isa);

}  // namespace fisherdiag
