#include "fisherdiag/fisher/request.hpp"

#include <cmath>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace {

bool has_targets(const Architecture& architecture, const Dataset& data, Likelihood likelihood) {
  const std::size_t positions = architecture.positions();
  const bool labels = likelihood == Likelihood::Categorical && positions == 1;
  return data.target_kind() != TargetKind::None && (!labels || data.target_kind() == TargetKind::Labels) &&
         data.target_width() == target_width(likelihood, architecture.outputs(), positions);
}

std::string targets_text(const Architecture& architecture, Likelihood likelihood) {
  const std::size_t positions = architecture.positions();
  const std::string each =
      positions == 1 ? "" : " for each of " + std::to_string(positions) + " positions of each sample";
  if (likelihood == Likelihood::Categorical) return "one class label" + (each.empty() ? " per sample" : each);
  return std::to_string(architecture.outputs()) + " target values" + (each.empty() ? " per sample" : each);
}

void check_unit(const Architecture& architecture, const Estimator& estimator) {
  if (estimator.unit == LikelihoodUnit::Sequence) return;
  if (architecture.positions() == 1)
    throw ArgumentError(
        "the likelihood of tokens needs a network with an output at each position of a sequence; this one "
        "has "
        "one per sample");
  if (estimator.kind == EstimatorKind::Batched)
    throw ArgumentError(
        "estimator 'batched' adds gradients before it squares them, so that it has no likelihood of tokens");
}

}  // namespace

bool reads_targets(const Architecture& architecture, const Dataset& data, const Estimator& estimator,
                   Likelihood likelihood) {
  return needs_targets(estimator.kind) ||
         (architecture.positions() > 1 && has_targets(architecture, data, likelihood));
}

void require_fitting_data(const Network& network, const Dataset& data, const Estimator& estimator,
                          Likelihood likelihood) {
  const Architecture& architecture = network.architecture();
  check_estimator(estimator, likelihood, architecture.outputs());
  if (data.size() == 0) throw DataError(data.name() + ": no samples");
  if (data.features() != architecture.inputs())
    throw ArgumentError(data.name() + " has " + std::to_string(data.features()) +
                        " features per sample but the model takes " + std::to_string(architecture.inputs()));
  check_unit(architecture, estimator);
  if (!needs_targets(estimator.kind) || has_targets(architecture, data, likelihood)) return;
  throw ArgumentError("the " + std::string(estimator_name(estimator.kind)) + " estimator with " +
                      std::string(likelihood_name(likelihood)) + " likelihood needs " +
                      targets_text(architecture, likelihood) + ", which " + data.name() + " does not give");
}

void require_finite_weights(const Network& network) {
  for (const ParameterTensor& tensor : network.architecture().parameters())
    for (std::size_t i = 0; i < tensor.size; ++i)
      if (!std::isfinite(network.parameters()[tensor.offset + i]))
        throw DataError("element " + std::to_string(i) + " of parameter '" + tensor.name + "' is not finite");
}

}  // namespace fisherdiag
