// Needed floating-point operations of a pass (docs/performance.md).
#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

std::size_t seeds_per_sample(const Estimator& estimator, Likelihood likelihood, std::size_t outputs) {
  return seed_columns(estimator, likelihood, outputs);
}

double fisher_flops_per_sample(const Architecture& architecture, const Estimator& estimator,
                               Likelihood likelihood) {
  double weights = 0, weights_above_first = 0;
  for (const LinearLayer& layer : architecture.layers()) {
    const double size = static_cast<double>(layer.inputs) * static_cast<double>(layer.outputs);
    if (weights > 0) weights_above_first += size;
    weights += size;
  }
  const auto columns = static_cast<double>(seed_columns(estimator, likelihood, architecture.outputs()));
  // Forward and accumulation touch every weight once, backward every weight above the first layer once per
  // seed; a touch is one multiply and one add.
  return 2.0 * (weights + columns * weights_above_first + weights);
}

}  // namespace fisherdiag
