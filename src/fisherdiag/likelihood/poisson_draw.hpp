// Poisson random counts of any rate.
#pragma once

#include "fisherdiag/base/philox.hpp"

namespace fisherdiag {

/// A Poisson count with mean `rate` (finite, >= 0), returned as count - rate, which stays exact where counts
/// are too large for a double to tell apart. The same draw for the same stream and rate.
///
/// rate < 10: inversion of the cumulative distribution, one uniform. Otherwise transformed rejection, two
/// uniforms per attempt (W. Hoermann, "The transformed rejection method for generating Poisson random
/// variables", Insurance: Mathematics and Economics 12 (1993) 39-45, algorithm PTRS), its acceptance test in
/// the cancellation-free form of C. Loader, "Fast and accurate computation of binomial probabilities" (2000).
double draw_poisson_excess(double rate, RandomStream& random);

/// log(k!) for a whole number k >= 0; relative error below 1e-13.
double log_factorial(double k);

}  // namespace fisherdiag
