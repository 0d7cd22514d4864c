#include "fisherdiag/fisher/machine_probe.hpp"

#include "support/catch.hpp"

using namespace fisherdiag;

TEST_CASE("peaks are rates a machine can have") {
  const Context context(2, Isa::Baseline);
  // From a slow virtual machine to far above any CPU.
  const double flops = measure_multiply_add_flops(context);
  REQUIRE(flops > 1e7);
  REQUIRE(flops < 1e16);
  const double bandwidth = measure_triad_bandwidth(context);
  REQUIRE(bandwidth > 1e7);
  REQUIRE(bandwidth < 1e14);
}
