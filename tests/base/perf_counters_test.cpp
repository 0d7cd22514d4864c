#include "fisherdiag/base/perf_counters.hpp"

#include "support/catch.hpp"

using namespace fisherdiag;

TEST_CASE("hardware counters count, or say in one sentence why not") {
  const PerfCounters counters;
  if (!counters.available()) {
    CHECK(counters.reason().starts_with("no hardware counters: "));
    const PerfCounts counts = counters.read();
    CHECK_FALSE(counts.cycles);
    CHECK_FALSE(counts.instructions);
    CHECK_FALSE(counts.cache_misses);
    return;
  }
  CHECK(counters.reason().empty());
  const PerfCounts before = counters.read();
  volatile unsigned sum = 0;
  for (unsigned i = 0; i < 1000000; ++i) sum = sum + i;
  const PerfCounts after = counters.read();
  // Each turn of the loop is at least one instruction; scaling of shared counters is far better than one
  // half.
  if (before.instructions && after.instructions) CHECK(*after.instructions - *before.instructions > 500000);
  if (before.cycles && after.cycles) CHECK(*after.cycles > *before.cycles);
}
