#include "fisherdiag/fisher/subset.hpp"

#include <algorithm>

#include "fisherdiag/base/philox.hpp"

namespace fisherdiag {

std::string_view subset_name(SubsetKind kind) {
  switch (kind) {
    case SubsetKind::All:
      return "all";
    case SubsetKind::Uniform:
      return "uniform";
    case SubsetKind::Importance:
      return "importance";
  }
  return "all";
}

std::optional<SubsetKind> subset_from_name(std::string_view name) {
  for (SubsetKind kind : {SubsetKind::All, SubsetKind::Uniform, SubsetKind::Importance})
    if (name == subset_name(kind)) return kind;
  return std::nullopt;
}

RandomRounds::RandomRounds(std::uint64_t total, std::uint64_t seed)
    : seed_(seed), left_(total), taken_(total) {}

std::vector<std::uint64_t> RandomRounds::next(std::uint64_t count) {
  count = std::min(count, left_);
  std::vector<std::uint64_t> chosen;
  chosen.reserve(count);
  RandomStream random(seed_, random_stream::kSubset, round_++);
  std::uint64_t candidates = left_;
  for (std::uint64_t n = 0; chosen.size() < count; ++n) {
    if (taken_[n]) continue;
    if (random.next_below(candidates--) < count - chosen.size()) {
      taken_[n] = true;
      chosen.push_back(n);
    }
  }
  left_ -= count;
  return chosen;
}

}  // namespace fisherdiag
