#include "fisherdiag/base/system.hpp"

#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace fisherdiag;

TEST_CASE("peak memory covers what was touched") {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  const std::vector<char> touched(kBytes, 1);
  REQUIRE(touched.back() == 1);
  REQUIRE(peak_rss_bytes() >= kBytes);
  REQUIRE(peak_rss_bytes() < (std::uint64_t{1} << 40));
}

TEST_CASE("resident memory goes up and down, its peak only up") {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  const std::uint64_t before = resident_bytes();
  {
    const std::vector<char> touched(kBytes, 1);
    REQUIRE(touched.back() == 1);
    // Other pages of the process may have gone meanwhile, but not tens of MiB of them.
    REQUIRE(resident_bytes() > before + kBytes / 2);
  }
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory for a while
  REQUIRE(resident_bytes() < before + kBytes / 2);
#endif
  REQUIRE(peak_rss_bytes() > before + kBytes / 2);
}

TEST_CASE("the machine has a name, cores and CPUs") {
  REQUIRE_FALSE(cpu_model().empty());
  REQUIRE(physical_cores() >= 1);
  REQUIRE(affinity_cpus() >= 1);
  REQUIRE(affinity_cpus() <= 1 << 16);
}

TEST_CASE("the last-level cache is the outermost one known") {
  REQUIRE(CacheSizes{1, 2, 3}.last_level() == 3);
  REQUIRE(CacheSizes{1, 2, 0}.last_level() == 2);
  REQUIRE(CacheSizes{1, 0, 0}.last_level() == 1);
  REQUIRE(cache_sizes().last_level() < (std::size_t{1} << 40));
}
