// A small classification problem that a small network solves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/io/dataset.hpp"

namespace fisherdiag::test {

/// `samples` points in 4 dimensions, class c = n mod 3 around the unit vector of axis c with deviation 0.1:
/// the classes are 1.4 apart, 7 deviations from the plane between them.
inline std::unique_ptr<Dataset> make_blobs(std::size_t samples, std::uint64_t seed = 5) {
  constexpr std::size_t kFeatures = 4;
  std::vector<float> inputs(samples * kFeatures);
  std::vector<std::int32_t> labels(samples);
  for (std::size_t n = 0; n < samples; ++n) {
    RandomStream random(seed, random_stream::kTest, n);
    labels[n] = static_cast<std::int32_t>(n % 3);
    for (std::size_t i = 0; i < kFeatures; ++i)
      inputs[n * kFeatures + i] = static_cast<float>((i == n % 3 ? 1.0 : 0.0) + 0.1 * random.next_normal());
  }
  return make_dataset(std::move(inputs), kFeatures, std::move(labels));
}

}  // namespace fisherdiag::test
