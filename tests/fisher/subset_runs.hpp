// What tests of subsets share: options of a subset, and a computation over samples.
#pragma once

#include <optional>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/fisher/compute.hpp"

namespace test {

inline fisherdiag::FisherDiagonal run(const fisherdiag::Network& network, const Samples& samples,
                                      const fisherdiag::FisherOptions& options, int threads = 1) {
  const auto data = fisherdiag::reference::to_dataset(samples);
  return fisherdiag::compute_fisher(network, *data, options, fisherdiag::Context(threads));
}

inline fisherdiag::FisherOptions subset(fisherdiag::EstimatorKind kind, fisherdiag::SubsetKind how,
                                        std::optional<std::size_t> size, std::uint64_t seed = 1) {
  fisherdiag::FisherOptions options;
  options.estimator = {kind, 2, seed};
  options.subset = {how, size};
  return options;
}

}  // namespace test
