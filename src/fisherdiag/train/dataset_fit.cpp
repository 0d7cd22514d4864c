#include "fisherdiag/train/dataset_fit.hpp"

#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace {

void require_targets_of_positions(const Dataset& dataset, const Architecture& architecture,
                                  Likelihood likelihood) {
  const std::size_t each = target_width(likelihood, architecture.outputs(), 1);
  if (dataset.target_kind() != TargetKind::None && dataset.target_width() == each * architecture.positions())
    return;
  const std::string wanted =
      likelihood == Likelihood::Categorical ? "a class label" : std::to_string(each) + " target values";
  throw ArgumentError(dataset.name() + " does not have " + wanted + " for each of the network's " +
                      std::to_string(architecture.positions()) + " positions, which the " +
                      std::string(likelihood_name(likelihood)) + " likelihood needs");
}

}  // namespace

void require_fit(const Dataset& dataset, const Architecture& architecture, Likelihood likelihood) {
  if (dataset.size() == 0) throw ArgumentError(dataset.name() + " has no samples");
  if (dataset.features() != architecture.inputs())
    throw ArgumentError(dataset.name() + " has " + std::to_string(dataset.features()) +
                        " features per sample and the network " + std::to_string(architecture.inputs()) +
                        " inputs");
  if (architecture.positions() > 1) {
    require_targets_of_positions(dataset, architecture, likelihood);
  } else if (likelihood == Likelihood::Categorical) {
    if (dataset.target_kind() != TargetKind::Labels)
      throw ArgumentError(dataset.name() + " has no class labels, which the categorical likelihood needs");
  } else if (dataset.target_width() != architecture.outputs()) {
    throw ArgumentError(dataset.name() + " has " + std::to_string(dataset.target_width()) +
                        " target values per sample and the network " +
                        std::to_string(architecture.outputs()) + " outputs");
  }
}

}  // namespace fisherdiag
