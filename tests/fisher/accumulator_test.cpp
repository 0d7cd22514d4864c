#include "fisherdiag/fisher/accumulator.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "support/catch.hpp"

namespace fisherdiag::testing {

namespace {

std::vector<float> numbers(std::size_t count, std::uint64_t stream) {
  RandomStream random(11, random_stream::kInit, stream);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(2.0 * random.next_uniform() - 1.0);
  return values;
}

MatrixView<const float> rows(const std::vector<float>& values, std::size_t cols, std::size_t first = 0,
                             std::size_t count = SIZE_MAX) {
  return {values.data() + first * cols, std::min(count, values.size() / cols - first), cols};
}

/// The definition: a sample's gradient, summed over its positions, squared, summed over samples.
struct Sums {
  std::vector<double> weight, bias;
};
Sums by_definition(const std::vector<float>& a, std::size_t inputs, const std::vector<float>& d,
                   std::size_t outputs, std::size_t positions) {
  Sums sums{std::vector<double>(inputs * outputs), std::vector<double>(outputs)};
  const std::size_t samples = a.size() / inputs / positions;
  for (std::size_t n = 0; n < samples; ++n)
    for (std::size_t o = 0; o < outputs; ++o) {
      double bias = 0;
      std::vector<double> gradient(inputs);
      for (std::size_t t = n * positions; t < (n + 1) * positions; ++t) {
        const double delta = d[t * outputs + o];
        bias += delta;
        for (std::size_t i = 0; i < inputs; ++i)
          gradient[i] += delta * static_cast<double>(a[t * inputs + i]);
      }
      sums.bias[o] += bias * bias;
      for (std::size_t i = 0; i < inputs; ++i) sums.weight[o * inputs + i] += gradient[i] * gradient[i];
    }
  return sums;
}

double error_of(std::span<const float> values, const std::vector<double>& reference, double scale) {
  double difference = 0, norm = 0;
  REQUIRE(values.size() == reference.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    difference += std::pow(static_cast<double>(values[i]) - scale * reference[i], 2);
    norm += std::pow(scale * reference[i], 2);
  }
  return std::sqrt(difference / norm);
}

/// Chains of up to 512 float additions and squares of float products: gamma(600) at u = 2^-24 is 4e-5 at
/// worst; rounding errors average to far less.
constexpr double kTolerance = 1e-6;

}  // namespace

TEST_CASE("accumulator: linear layers by the definition, any number of threads", "[fisher]") {
  constexpr std::size_t kInputs = 37, kOutputs = 70;
  for (const std::size_t positions : {1u, 5u}) {
    CAPTURE(positions);
    const std::size_t samples = 700;
    const std::vector<float> a = numbers(samples * positions * kInputs, 0);
    const std::vector<float> d = numbers(samples * positions * kOutputs, 1);
    const Sums reference = by_definition(a, kInputs, d, kOutputs, positions);
    std::string digest;
    for (const int threads : {1, 2, 3}) {
      const Context context(threads);
      Accumulator accumulator(context);
      const std::size_t layer = accumulator.add_linear_layer("fc", kInputs, kOutputs, true);
      const std::size_t half = 600 * positions;
      accumulator.add_linear(layer, rows(a, kInputs, 0, half), rows(d, kOutputs, 0, half), positions);
      accumulator.add_linear(layer, rows(a, kInputs, half), rows(d, kOutputs, half), positions);
      const FisherDiagonal fisher = accumulator.finish({});
      REQUIRE(fisher.metadata().samples == samples);
      REQUIRE(fisher.tensors()[0].name == "fc.weight");
      REQUIRE(fisher.tensors()[1].shape == std::vector<std::size_t>{kOutputs});
      REQUIRE(error_of(fisher.values().first(kInputs * kOutputs), reference.weight, 1.0 / 700) < kTolerance);
      REQUIRE(error_of(fisher.values().subspan(kInputs * kOutputs), reference.bias, 1.0 / 700) < kTolerance);
      if (threads == 1) digest = fisher.sha256();
      REQUIRE(fisher.sha256() == digest);
    }
  }
}

TEST_CASE("accumulator: further seeds, given gradients, sums", "[fisher]") {
  const Context context(2);
  Accumulator accumulator(context);
  const std::size_t layer = accumulator.add_linear_layer("fc", 2, 1, false);
  const std::size_t scale = accumulator.add_parameter("norm.scale", {2, 2});
  accumulator.add_linear(layer, rows({1, 2, 3, 4}, 2), rows({1, 10}, 1));
  accumulator.add_linear_seed(layer, rows({1, 2, 3, 4}, 2), rows({2, 0}, 1));
  accumulator.add_gradients(scale, rows({1, 2, 3, 4}, 4));
  REQUIRE_THROWS_WITH(accumulator.finish({}), contains("norm.scale") && contains("1 samples"));
  accumulator.add_gradients(scale, rows({0, 1, -2, 0}, 4));
  FisherMetadata metadata;
  metadata.normalization = Normalization::Sum;
  const FisherDiagonal fisher = accumulator.finish(metadata);
  // (1 + 4) a1^2 + 100 a2^2, and the squares of the gradients
  const std::vector<float> expected{5 + 900, 20 + 1600, 1, 5, 13, 16};
  REQUIRE(std::vector<float>(fisher.values().begin(), fisher.values().end()) == expected);
  REQUIRE(fisher.tensors()[1].shape == std::vector<std::size_t>{2, 2});
  const FisherDiagonal mean = accumulator.finish({});  // the sums are still there
  REQUIRE(mean.values()[0] == 452.5f);
}

TEST_CASE("accumulator: what it refuses changes nothing", "[fisher]") {
  const Context context(1);
  Accumulator accumulator(context);
  REQUIRE_THROWS_AS(accumulator.finish({}), DataError);
  const std::size_t layer = accumulator.add_linear_layer("fc", 2, 1, true);
  REQUIRE_THROWS_AS(accumulator.add_linear_layer("none", 0, 1, true), ArgumentError);
  REQUIRE_THROWS_AS(accumulator.add_parameter("fc.bias", {1}), ArgumentError);
  REQUIRE_THROWS_AS(accumulator.add_parameter("huge", {SIZE_MAX, SIZE_MAX}), ArgumentError);
  REQUIRE_THROWS_AS(accumulator.add_gradients(layer, rows({1, 2}, 2)), ArgumentError);
  REQUIRE_THROWS_AS(accumulator.add_linear(7, rows({1, 2}, 2), rows({1}, 1)), ArgumentError);
  REQUIRE_THROWS_AS(accumulator.add_linear(layer, rows({1, 2, 3}, 3), rows({1}, 1)), ArgumentError);
  REQUIRE_THROWS_AS(accumulator.add_linear(layer, rows({1, 2}, 2), rows({1, 2}, 1)), ArgumentError);
  REQUIRE_THROWS_AS(accumulator.add_linear(layer, rows({1, 2}, 2), rows({1}, 1), 2), ArgumentError);
  REQUIRE_THROWS_AS(accumulator.add_linear(layer, rows({1, 2}, 2), rows({1}, 1), 0), ArgumentError);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  REQUIRE_THROWS_WITH(accumulator.add_linear(layer, rows({1, 2, 3, nan}, 2), rows({1, 2}, 1)),
                      contains("'fc'") && contains("sample 1"));
  REQUIRE(accumulator.samples() == 0);
  accumulator.add_linear(layer, rows({1, 2}, 2), rows({3}, 1));
  REQUIRE_THROWS_WITH(accumulator.add_parameter("late", {1}), contains("late"));
  const FisherDiagonal fisher = accumulator.finish({});
  REQUIRE(std::vector<float>(fisher.values().begin(), fisher.values().end()) == std::vector<float>{9, 36, 9});
  accumulator.add_linear(layer, rows({1e19f, 2}, 2), rows({1e19f}, 1));
  REQUIRE_THROWS_WITH(accumulator.finish({}), contains("fc.weight"));
}

}  // namespace fisherdiag::testing
