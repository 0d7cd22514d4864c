#include "fisherdiag/fisher/request.hpp"

#include <cmath>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

void require_fitting_data(const Network& network, const Dataset& data, const Estimator& estimator,
                          Likelihood likelihood) {
  const Architecture& architecture = network.architecture();
  check_estimator(estimator, likelihood, architecture.outputs());
  if (data.size() == 0) throw DataError(data.name() + ": no samples");
  if (data.features() != architecture.inputs())
    throw ArgumentError(data.name() + " has " + std::to_string(data.features()) +
                        " features per sample but the model takes " + std::to_string(architecture.inputs()));
  if (!needs_targets(estimator.kind)) return;
  const bool categorical = likelihood == Likelihood::Categorical;
  const std::size_t width = categorical ? 1 : architecture.outputs();
  if (data.target_kind() == TargetKind::None || data.target_width() != width ||
      (categorical && data.target_kind() != TargetKind::Labels))
    throw ArgumentError("the " + std::string(estimator_name(estimator.kind)) + " estimator with " +
                        std::string(likelihood_name(likelihood)) + " likelihood needs " +
                        (categorical ? "one class label" : std::to_string(width) + " target values") +
                        " per sample, which " + data.name() + " does not give");
}

void require_finite_weights(const Network& network) {
  for (const ParameterTensor& tensor : network.architecture().parameters())
    for (std::size_t i = 0; i < tensor.size; ++i)
      if (!std::isfinite(network.parameters()[tensor.offset + i]))
        throw DataError("element " + std::to_string(i) + " of parameter '" + tensor.name + "' is not finite");
}

}  // namespace fisherdiag
