#include "fisherdiag/fisher/importance.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

#include "fisherdiag/base/philox.hpp"

namespace fisherdiag {

namespace {

std::vector<double> selection_probabilities(std::span<const float> norms) {
  double sum = 0;
  for (const float norm : norms) sum += static_cast<double>(norm);
  const double uniform = 1.0 / static_cast<double>(norms.size());
  std::vector<double> p(norms.size(), uniform);
  if (!(sum > 0) || !std::isfinite(sum)) return p;
  for (std::size_t n = 0; n < p.size(); ++n)
    p[n] = (1 - kUniformShare) * (static_cast<double>(norms[n]) / sum) + kUniformShare * uniform;
  return p;
}

}  // namespace

std::vector<double> inclusion_probabilities(std::span<const float> norms, std::size_t count) {
  std::vector<double> p = selection_probabilities(norms);
  if (count >= p.size()) return std::vector<double>(p.size(), 1.0);
  // Samples that would be drawn more than once are drawn for certain, which leaves fewer draws for the
  // others, which may make more of them certain. p becomes 1 where that happens; no p is 1 before, as there
  // are 2 samples or more.
  std::size_t certain = 0;
  for (std::size_t before = p.size(); before != certain;) {
    before = certain;
    double rest = 0;
    for (const double value : p) rest += value < 1 ? value : 0;
    const double c = static_cast<double>(count - certain) / rest;
    for (double& value : p)
      if (value < 1 && c * value >= 1) {
        value = 1;
        ++certain;
      }
    if (before != certain) continue;
    for (double& value : p)
      if (value < 1) value *= c;
  }
  return p;
}

namespace {

/// `drawn` in the order of the design.
DrawnSamples by_index(const std::vector<std::uint64_t>& drawn, const std::vector<double>& inclusion) {
  DrawnSamples result;
  result.samples = drawn;
  std::ranges::sort(result.samples);
  for (const std::uint64_t n : result.samples) result.inclusion.push_back(inclusion[n]);
  for (const std::uint64_t n : drawn) {
    const auto place = std::ranges::lower_bound(result.samples, n) - result.samples.begin();
    if (inclusion[n] < 1) result.order.push_back(static_cast<std::size_t>(place));
  }
  return result;
}

}  // namespace

ImportanceDesign::ImportanceDesign(SampleScores scores)
    : norms_(std::move(scores.norms)), order_(norms_.size()) {
  std::iota(order_.begin(), order_.end(), std::uint64_t{0});
  const auto key = [&](std::uint64_t n) { return std::tuple(scores.strata[n], norms_[n], n); };
  std::ranges::sort(order_, [&](std::uint64_t a, std::uint64_t b) { return key(a) < key(b); });
}

DrawnSamples ImportanceDesign::draw(std::size_t count, std::uint64_t seed, std::uint64_t round) const {
  const std::vector<double> inclusion = inclusion_probabilities(norms_, count);
  RandomStream random(seed, random_stream::kImportance, round);
  std::vector<std::uint64_t> drawn, waiting;  // at most one sample waits: neither in nor out so far
  double chance = 0;                          // of the waiting one
  for (const std::uint64_t n : order_) {
    if (inclusion[n] >= 1) {
      drawn.push_back(n);
    } else if (waiting.empty()) {
      waiting = {n};
      chance = inclusion[n];
    } else if (const double sum = chance + inclusion[n]; sum < 1) {  // one is out
      if (random.next_uniform() * sum >= chance) waiting = {n};
      chance = sum;
    } else {  // one is in
      const bool first = random.next_uniform() * (2 - sum) < 1 - inclusion[n];
      drawn.push_back(first ? waiting.front() : n);
      if (first) waiting = {n};
      chance = sum - 1;
    }
  }
  // All probabilities sum to a whole number, so what waits at the end does it with 0 or 1, up to rounding.
  if (!waiting.empty() && chance > 0.5) drawn.push_back(waiting.front());
  return by_index(drawn, inclusion);
}

}  // namespace fisherdiag
