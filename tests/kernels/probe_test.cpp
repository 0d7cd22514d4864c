#include "fisherdiag/kernels/probe.hpp"

#include <algorithm>
#include <cmath>

#include "fisherdiag/base/isa.hpp"
#include "kernels/margin_array.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::test;

TEST_CASE("multiply_add_probe counts two flops per multiply-add") {
  for (const Isa isa : available_isas()) {
    CAPTURE(isa_name(isa));
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    REQUIRE(kernel.multiply_add_probe(0) == 0.0);
    const double flops = kernel.multiply_add_probe(1);
    // At least latency 4 times 2 units of independent vectors, or the probe would measure latency.
    REQUIRE(flops >= 2.0 * 8 * static_cast<double>(kernel.lanes));
    REQUIRE(std::fmod(flops, 2.0 * static_cast<double>(kernel.lanes)) == 0.0);
    REQUIRE(kernel.multiply_add_probe(1000) == 1000 * flops);
  }
}

TEST_CASE("triad_probe computes a x + y and counts three streams") {
  for (const Isa isa : available_isas()) {
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    for (const std::size_t n : lengths_around(kernel.lanes))
      for (const std::size_t offset : kOffsets) {
        CAPTURE(isa_name(isa), n, offset);
        MarginArray x(n, offset + 1), y(n, offset + 2), z(n, offset);
        x.fill(1, -1, 1);
        y.fill(2, -1, 1);
        REQUIRE(kernel.triad_probe(x.data(), y.data(), 0.75f, z.data(), n) == 12.0 * static_cast<double>(n));
        double worst = 0;
        for (std::size_t i = 0; i < n; ++i) {
          const double product = 0.75 * static_cast<double>(x[i]);
          const double expected = product + static_cast<double>(y[i]);
          // One rounding of the product where the multiply-add is two instructions, one of the sum.
          const double tolerance = 1.01 * kU * (std::abs(product) + std::abs(expected)) + 1e-45;
          worst = std::max(worst, std::abs(static_cast<double>(z[i]) - expected) / tolerance);
        }
        REQUIRE(worst <= 1.0);
        REQUIRE(z.margins_untouched());
      }
  }
}
