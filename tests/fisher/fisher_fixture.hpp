// What the tests of the Fisher pass share: networks, samples and how results are compared.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "reference/fisher_reference.hpp"

namespace test {

using fisherdiag::reference::Samples;
using fisherdiag::reference::Vector;

/// PyTorch's initialisation times `scale`: at 1 outputs are timid, at 3 a softmax has clear winners.
inline fisherdiag::Network make_network(const std::string& architecture, std::uint64_t seed,
                                        float scale = 2) {
  fisherdiag::Network network =
      fisherdiag::Network::random(fisherdiag::Architecture::parse(architecture), seed);
  for (float& value : network.parameters()) value *= scale;
  std::size_t i = 0;  // statistics unlike those of an untrained network
  for (float& value : network.buffers()) value += 0.05f * static_cast<float>(i++ % 7);
  return network;
}

inline Samples make_samples(const fisherdiag::Network& network, std::size_t count,
                            fisherdiag::Likelihood likelihood, std::uint64_t seed) {
  Samples samples = fisherdiag::reference::random_samples(count, network.architecture().inputs(),
                                                          network.architecture().outputs(), likelihood, seed);
  const fisherdiag::Graph* graph = network.architecture().graph();
  if (!graph || !graph->tokens()) return samples;
  fisherdiag::RandomStream random(seed, fisherdiag::random_stream::kTest, 1);
  for (float& input : samples.inputs) input = static_cast<float>(random.next_below(graph->tokens()));
  return samples;
}

inline fisherdiag::FisherDiagonal compute(
    const fisherdiag::Network& network, const Samples& samples, const fisherdiag::Estimator& estimator,
    fisherdiag::Likelihood likelihood = fisherdiag::Likelihood::Categorical,
    fisherdiag::Isa isa = fisherdiag::default_isa(), int threads = 1,
    fisherdiag::Normalization normalization = fisherdiag::Normalization::Mean) {
  const auto data = fisherdiag::reference::to_dataset(samples);
  fisherdiag::FisherOptions options;
  options.estimator = estimator;
  options.likelihood = likelihood;
  options.normalization = normalization;
  return fisherdiag::compute_fisher(network, *data, options, fisherdiag::Context(threads, isa));
}

inline Vector values_of(const fisherdiag::FisherDiagonal& fisher) {
  return Vector(fisher.values().begin(), fisher.values().end());
}

/// The largest normwise relative error of any parameter tensor: a small tensor's error does not hide behind a
/// large one.
inline double worst_tensor_error(const fisherdiag::FisherDiagonal& fisher, const Vector& expected) {
  const Vector values = values_of(fisher);
  double worst = values.size() == expected.size() ? 0 : 1e300;
  for (const fisherdiag::ParameterTensor& tensor : fisher.tensors()) {
    const auto part = [&](const Vector& all) {
      return Vector(all.begin() + tensor.offset, all.begin() + tensor.offset + tensor.size);
    };
    const double error = fisherdiag::reference::relative_error(part(values), part(expected));
    worst = error <= worst ? worst : error;  // NaN counts as worst
  }
  return worst;
}

}  // namespace test
