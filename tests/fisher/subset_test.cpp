#include "fisherdiag/fisher/subset.hpp"

#include <algorithm>
#include <cmath>

#include "support/catch.hpp"

using namespace fisherdiag;

TEST_CASE("random rounds never repeat a sample and end with all of them") {
  RandomRounds rounds(100, 7);
  std::vector<std::uint64_t> all;
  for (std::uint64_t count : {10u, 0u, 35u, 1u, 200u, 5u}) {
    const std::vector<std::uint64_t> round = rounds.next(count);
    CHECK(round.size() == std::min<std::uint64_t>(count, 100 - all.size()));
    CHECK(std::ranges::adjacent_find(round, std::greater_equal<>()) == round.end());
    all.insert(all.end(), round.begin(), round.end());
  }
  std::ranges::sort(all);
  REQUIRE(all.size() == 100);
  for (std::uint64_t n = 0; n < 100; ++n) CHECK(all[n] == n);
}

TEST_CASE("after any number of rounds every sample, and every pair, is equally likely") {
  constexpr int kTrials = 4000;
  std::vector<int> single(8, 0);
  int pair = 0;
  for (std::uint64_t seed = 0; seed < kTrials; ++seed) {
    RandomRounds rounds(8, seed);
    std::vector<std::uint64_t> chosen = rounds.next(1);
    for (const std::uint64_t n : rounds.next(3)) chosen.push_back(n);
    for (const std::uint64_t n : chosen) ++single[n];
    pair += std::ranges::count(chosen, 2u) && std::ranges::count(chosen, 6u);
  }
  // Binomial(4000, 1/2) has sd 31.6, Binomial(4000, 4/8 * 3/7) 25.9: 6 sd for 9 counts, 2e-8.
  for (const int count : single) CHECK(std::abs(count - kTrials / 2.0) < 6 * 31.6);
  CHECK(std::abs(pair - kTrials * 3.0 / 14) < 6 * 25.9);
}

TEST_CASE("names of subsets are read back") {
  for (SubsetKind kind : {SubsetKind::All, SubsetKind::Uniform, SubsetKind::Importance})
    CHECK(subset_from_name(subset_name(kind)) == kind);
  CHECK_FALSE(subset_from_name("random"));
}
