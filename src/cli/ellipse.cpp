#include "cli/ellipse.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fisherdiag::cli {

Symmetric2 inverse(const Symmetric2& m) {
  const double determinant = m.xx * m.yy - m.xy * m.xy;
  return {m.yy / determinant, -m.xy / determinant, m.xx / determinant};
}

Json to_json(const Symmetric2& m) {
  return {{m.xx, m.xy}, {m.xy, m.yy}};
}

Ellipse ellipse(const std::array<double, 2>& center, const Symmetric2& covariance, double squared_radius) {
  const double mean = (covariance.xx + covariance.yy) / 2, half = (covariance.xx - covariance.yy) / 2;
  const double spread = std::hypot(half, covariance.xy);
  // The smaller eigenvalue as determinant over the larger: their difference would cancel.
  const double larger = mean + spread;
  const double smaller =
      std::max((covariance.xx * covariance.yy - covariance.xy * covariance.xy) / larger, 0.0);
  return {center,
          {std::sqrt(larger * squared_radius), std::sqrt(smaller * squared_radius)},
          std::atan2(covariance.xy, half) / 2 * 180 / std::numbers::pi};
}

Json to_json(const Ellipse& ellipse) {
  return {{"center", ellipse.center}, {"semi_axes", ellipse.semi_axes}, {"angle_degrees", ellipse.angle}};
}

}  // namespace fisherdiag::cli
