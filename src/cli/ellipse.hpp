// Symmetric 2 x 2 matrices and the ellipses they stand for.
#pragma once

#include <array>

#include "cli/output.hpp"

namespace fisherdiag::cli {

/// [[xx, xy], [xy, yy]].
struct Symmetric2 {
  double xx = 0;
  double xy = 0;
  double yy = 0;
};

/// Of a matrix whose determinant is not 0.
Symmetric2 inverse(const Symmetric2& m);
/// [[xx, xy], [xy, yy]] as nested lists.
Json to_json(const Symmetric2& m);

struct Ellipse {
  std::array<double, 2> center{};
  std::array<double, 2> semi_axes{};  ///< the longer one first
  double angle = 0;  ///< of the longer one against the first coordinate, degrees in (-90, 90]
};

/// The points x with (x - center)^T covariance^-1 (x - center) = squared_radius.
Ellipse ellipse(const std::array<double, 2>& center, const Symmetric2& covariance, double squared_radius);
/// {"center", "semi_axes", "angle_degrees"}.
Json to_json(const Ellipse& ellipse);

}  // namespace fisherdiag::cli
