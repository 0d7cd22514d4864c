#include "fisherdiag/base/philox.hpp"

#include <cmath>
#include <set>
#include <vector>

#include "support/catch.hpp"

using fisherdiag::philox4x32;
using fisherdiag::RandomStream;
using Words = std::array<std::uint32_t, 4>;

TEST_CASE("Philox4x32-10 gives Random123's known answers") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t kOnes = 0xffffffff;
  CHECK(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE(
    "a stream's words are Philox blocks with (draw block, stream, index) as counter and the seed as key") {
  const std::uint64_t seed = 0x299f31d0a4093822, index = 0x0370734413198a2e;
  RandomStream random(seed, 0x85a308d3, index);
  for (std::uint32_t block = 0; block < 3; ++block)
    for (std::uint32_t word :
         philox4x32({block, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}))
      CHECK(random.next_u32() == word);
}

TEST_CASE("streams that differ in seed, purpose or index differ") {
  std::set<std::uint32_t> first_words;
  for (std::uint64_t seed : {1ull, 2ull, 1ull << 32})
    for (std::uint32_t stream : {1u, 2u})
      for (std::uint64_t index : {0ull, 1ull, 1ull << 32})
        first_words.insert(RandomStream(seed, stream, index).next_u32());
  CHECK(first_words.size() == 3 * 2 * 3);
}

TEST_CASE("uniform numbers lie between 0 and 1 and fill 100 bins evenly") {
  constexpr std::size_t kBins = 100, kDraws = 1'000'000;
  std::vector<double> counts(kBins, 0.0);
  RandomStream random(7, fisherdiag::random_stream::kTest, 1);
  double sum = 0;
  for (std::size_t i = 0; i < kDraws; ++i) {
    const double u = random.next_uniform();
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    counts[static_cast<std::size_t>(u * kBins)] += 1;
    sum += u;
  }
  double chi_squared = 0;
  for (double count : counts) chi_squared += std::pow(count - 1e4, 2) / 1e4;
  // 99 degrees of freedom: P(chi^2 > 184) = 5e-7, P(chi^2 < 42) = 8e-8.
  CHECK(chi_squared < 184);
  CHECK(chi_squared > 42);
  // sd of the mean = 1 / sqrt(12 * 1e6) = 2.9e-4; |z| > 6 has probability 2e-9.
  CHECK(std::abs(sum / kDraws - 0.5) < 6 * 2.89e-4);
}

TEST_CASE("normal numbers have the moments of a standard normal") {
  constexpr int kDraws = 1'000'000;
  RandomStream random(7, fisherdiag::random_stream::kTest, 2);
  double m1 = 0, m2 = 0, m4 = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.next_normal();
    REQUIRE(std::isfinite(x));
    m1 += x / kDraws;
    m2 += x * x / kDraws;
    m4 += x * x * x * x / kDraws;
  }
  // sd of the sample moments: sqrt(1/n), sqrt(2/n), sqrt(96/n); 6 sd each, 6e-9 in all.
  CHECK(std::abs(m1) < 6e-3);
  CHECK(std::abs(m2 - 1) < 8.5e-3);
  CHECK(std::abs(m4 - 3) < 5.9e-2);
}

TEST_CASE("integers below a bound are all reached, evenly") {
  constexpr std::uint64_t kBound = 7, kDraws = 700'000;
  std::vector<double> counts(kBound, 0.0);
  RandomStream random(7, fisherdiag::random_stream::kTest, 3);
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const std::uint64_t value = random.next_below(kBound);
    REQUIRE(value < kBound);
    counts[value] += 1;
  }
  double chi_squared = 0;
  for (double count : counts) chi_squared += std::pow(count - 1e5, 2) / 1e5;
  // 6 degrees of freedom: P(chi^2 > 38.3) = 1e-6.
  CHECK(chi_squared < 38.3);
  CHECK(RandomStream(1, 1, 1).next_below(1) == 0);
}

TEST_CASE("a uniform number has 53 bits, not those of one word") {
  RandomStream random(1, 2, 3);
  int fine = 0;
  for (int i = 0; i < 100; ++i) {
    const double scaled = 0x1p27 * random.next_uniform();
    fine += scaled != std::floor(scaled);
  }
  CHECK(fine >= 99);  // by chance one in 2^26 is not
}
