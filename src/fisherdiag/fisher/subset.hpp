// Random subsets of samples.
#pragma once

#include <cstdint>
#include <vector>

namespace fisherdiag {

/// `count` distinct indices of [0, total), every subset equally likely, ascending; drawn from `seed`. All of them if
/// count >= total. (Selection sampling: Knuth, The Art of Computer Programming 2, section 3.4.2, algorithm S.)
std::vector<std::uint64_t> random_subset(std::uint64_t total, std::uint64_t count, std::uint64_t seed);

}  // namespace fisherdiag
