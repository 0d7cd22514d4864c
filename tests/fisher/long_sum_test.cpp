// Sums over many samples, against long double.
#include <cmath>
#include <iostream>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/fisher/block_pass.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

/// The relative error of the pass's sum of a^2 over `samples` values of a in [0, 1), the worse of a weight's
/// and a bias's. One input, one output and a gaussian likelihood: a sample's squared gradients are a^2 and 1.
double sum_error(std::size_t samples) {
  constexpr std::size_t kBlock = 512 * 64;
  const Network network(Architecture::parse("mlp:1-1"));
  const Context context(1);
  BlockPass pass(network, {EstimatorKind::Exact}, Likelihood::Gaussian, kBlock, context, nullptr, true,
                 section_rows(network.parameters().size(), 512, samples));
  RandomStream random(1, 1, 1);
  std::vector<float> inputs(kBlock);
  std::vector<std::uint64_t> indices(kBlock);
  long double expected = 0;
  for (std::size_t done = 0; done < samples; done += kBlock) {
    const std::size_t count = std::min(kBlock, samples - done);
    for (std::size_t i = 0; i < count; ++i) {
      inputs[i] = static_cast<float>(random.next_below(std::uint64_t{1} << 24)) * 0x1p-24f;
      expected += static_cast<long double>(inputs[i]) * static_cast<long double>(inputs[i]);
    }
    pass.add({inputs.data(), count, 1}, {}, std::span<const std::uint64_t>(indices).first(count));
  }
  const AlignedBuffer<double> sum = pass.sums().take();
  const auto error = [&](double value, long double exact) {
    return static_cast<double>(std::abs(static_cast<long double>(value) - exact) / exact);
  };
  return std::max(error(sum[0], expected), error(sum[1], static_cast<long double>(samples)));
}

}  // namespace

// Chains of 512 terms in float: gamma(513) = 3e-5 at worst, and about its square root's share of it when
// roundings are independent, which averages out over chains. The promise is 1e-6 for any number of samples.

TEST_CASE("a sum over a million samples is within 1e-6 of long double") {
  CHECK(sum_error(1'000'000) <= 1e-6);
}

TEST_CASE("a sum over 10^8 samples is within 1e-6 of long double", "[.][long-sum]") {
  const double error = sum_error(100'000'000);
  std::cerr << "10^8 samples: relative error " << error << "\n";
  CHECK(error <= 1e-6);
}
