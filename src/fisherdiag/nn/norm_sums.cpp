#include "fisherdiag/nn/norm_sums.hpp"

#include <algorithm>

namespace fisherdiag::ops {

namespace {

/// Positions added in float at a time.
constexpr std::size_t kChain = 16;

}  // namespace

NormSums norm_sums(const kernels::ConstStrips& x, const kernels::ConstStrips& delta, std::size_t strip,
                   std::size_t row, std::size_t positions, std::size_t lanes, const float* center) {
  const float* xs = x.data + strip * x.stride + row * lanes;
  const float* ds = delta.data + strip * delta.stride + row * lanes;
  NormSums sums;
  with_lanes(lanes, [&](auto width) {
    for (std::size_t first = 0; first < positions; first += kChain) {
      float d[kMostLanes] = {}, p[kMostLanes] = {};
      for (std::size_t t = first; t < std::min(first + kChain, positions); ++t)
        for (std::size_t i = 0; i < width; ++i) {
          const float value = ds[t * width + i];
          d[i] += value;
          p[i] += value * (xs[t * width + i] - center[i]);
        }
      for (std::size_t i = 0; i < width; ++i) {
        sums.delta[i] += static_cast<double>(d[i]);
        sums.product[i] += static_cast<double>(p[i]);
      }
    }
  });
  return sums;
}

std::array<double, kMostLanes> centered_sums(const kernels::ConstStrips& x, std::size_t strip,
                                             std::size_t row, std::size_t positions, std::size_t lanes,
                                             double center, int power) {
  const float* xs = x.data + strip * x.stride + row * lanes;
  std::array<double, kMostLanes> sums{};
  with_lanes(lanes, [&](auto width) {
    for (std::size_t t = 0; t < positions; ++t)
      for (std::size_t i = 0; i < width; ++i) {
        const double value = static_cast<double>(xs[t * width + i]) - center;
        sums[i] += power == 1 ? value : value * value;
      }
  });
  return sums;
}

}  // namespace fisherdiag::ops
