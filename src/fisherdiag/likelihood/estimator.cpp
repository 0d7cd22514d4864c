#include "fisherdiag/likelihood/estimator.hpp"

namespace fisherdiag {

std::string_view estimator_name(EstimatorKind kind) {
  switch (kind) {
    case EstimatorKind::Empirical:
      return "empirical";
    case EstimatorKind::Exact:
      return "exact";
    case EstimatorKind::MonteCarlo:
      return "mc";
    case EstimatorKind::Sketch:
      return "sketch";
    case EstimatorKind::Predicted:
      return "predicted";
    case EstimatorKind::Batched:
      return "batched";
  }
  return "empirical";
}

std::optional<EstimatorKind> estimator_from_name(std::string_view name) {
  for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::MonteCarlo,
                             EstimatorKind::Sketch, EstimatorKind::Predicted, EstimatorKind::Batched})
    if (name == estimator_name(kind)) return kind;
  return std::nullopt;
}

std::string_view likelihood_unit_name(LikelihoodUnit unit) {
  return unit == LikelihoodUnit::Token ? "token" : "sequence";
}

std::optional<LikelihoodUnit> likelihood_unit_from_name(std::string_view name) {
  for (const LikelihoodUnit unit : {LikelihoodUnit::Sequence, LikelihoodUnit::Token})
    if (name == likelihood_unit_name(unit)) return unit;
  return std::nullopt;
}

}  // namespace fisherdiag
