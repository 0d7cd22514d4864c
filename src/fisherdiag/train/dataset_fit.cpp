#include "fisherdiag/train/dataset_fit.hpp"

#include <string>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

void require_fit(const Dataset& dataset, const Architecture& architecture, Likelihood likelihood) {
  require_one_position(architecture, "training");
  if (dataset.size() == 0) throw ArgumentError(dataset.name() + " has no samples");
  if (dataset.features() != architecture.inputs())
    throw ArgumentError(dataset.name() + " has " + std::to_string(dataset.features()) +
                        " features per sample and the network " + std::to_string(architecture.inputs()) +
                        " inputs");
  if (likelihood == Likelihood::Categorical) {
    if (dataset.target_kind() != TargetKind::Labels)
      throw ArgumentError(dataset.name() + " has no class labels, which the categorical likelihood needs");
  } else if (dataset.target_width() != architecture.outputs()) {
    throw ArgumentError(dataset.name() + " has " + std::to_string(dataset.target_width()) +
                        " target values per sample and the network " +
                        std::to_string(architecture.outputs()) + " outputs");
  }
}

}  // namespace fisherdiag
