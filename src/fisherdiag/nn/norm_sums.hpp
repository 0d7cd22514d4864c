// Loops over vectors, and sums over a sample's positions that the layers which normalise need.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include "fisherdiag/kernels/strips.hpp"

namespace fisherdiag::ops {

/// Floats of a vector at most.
inline constexpr std::size_t kMostLanes = 16;

/// body(lanes) with the number as a constant where it is one of the usual ones: loops over a vector are then
/// unrolled into vector instructions.
template <class Body>
void with_lanes(std::size_t lanes, const Body& body) {
  if (lanes == 16) return body(std::integral_constant<std::size_t, 16>{});
  if (lanes == 8) return body(std::integral_constant<std::size_t, 8>{});
  if (lanes == 4) return body(std::integral_constant<std::size_t, 4>{});
  body(lanes);
}

/// For each column of a strip: the sum over positions of delta and of delta (x - center).
struct NormSums {
  std::array<double, kMostLanes> delta{}, product{};
};

/// Rows [row, row + positions) of strip `strip`; center has `lanes` floats. Short chains in float, then
/// double.
NormSums norm_sums(const kernels::ConstStrips& x, const kernels::ConstStrips& delta, std::size_t strip,
                   std::size_t row, std::size_t positions, std::size_t lanes, const float* center);

/// For each column of a strip: the sum over positions of (x - center)^power, power 1 or 2.
std::array<double, kMostLanes> centered_sums(const kernels::ConstStrips& x, std::size_t strip,
                                             std::size_t row, std::size_t positions, std::size_t lanes,
                                             double center, int power);

}  // namespace fisherdiag::ops
