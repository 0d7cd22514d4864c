#include "fisherdiag/fisher/subset.hpp"

#include "fisherdiag/base/philox.hpp"

namespace fisherdiag {

std::vector<std::uint64_t> random_subset(std::uint64_t total, std::uint64_t count, std::uint64_t seed) {
  std::vector<std::uint64_t> chosen;
  chosen.reserve(count < total ? count : total);
  RandomStream random(seed, random_stream::kSubset, 0);
  for (std::uint64_t i = 0; i < total && chosen.size() < count; ++i)
    if (random.next_below(total - i) < count - chosen.size()) chosen.push_back(i);
  return chosen;
}

}  // namespace fisherdiag
