#include "fisherdiag/train/output_heads.hpp"

#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/train/batch_gradient.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinAbs;
using fisherdiag::testing::contains;

namespace {

constexpr std::size_t kInputs = 5;
constexpr double kU = 0x1p-24;

const std::vector<std::vector<std::size_t>> kHeads = {{1, 4}, {0, 2, 3}};

Network network_of_five() {
  return Network::random(Architecture::parse("mlp:5-7-5:tanh"), 3);
}

std::vector<float> random_inputs(std::size_t rows) {
  std::vector<float> inputs(rows * kInputs);
  RandomStream random(9, random_stream::kTest, 0);
  for (float& value : inputs) value = static_cast<float>(random.next_normal());
  return inputs;
}

struct Gradient {
  double loss;
  std::vector<float> values;
};

Gradient gradient_of(const Network& network, const std::vector<float>& inputs,
                     const std::vector<float>& labels, const OutputHeads& heads) {
  const Context context(1);
  const std::size_t rows = labels.size();
  BatchGradient engine(network.architecture(), Likelihood::Categorical, rows, context, heads);
  Gradient gradient{0, std::vector<float>(network.parameters().size(), -1.0f)};
  gradient.loss =
      engine.compute(network, {inputs.data(), rows, kInputs}, {labels.data(), rows, 1}, gradient.values);
  return gradient;
}

}  // namespace

TEST_CASE("a restricted network has the outputs that were asked for, in their order") {
  const Network whole = network_of_five(), part = restrict_outputs(whole, {4, 1});
  const std::vector<float> inputs = random_inputs(3);
  const Context context(1);
  BatchGradient of_whole(whole.architecture(), Likelihood::Categorical, 3, context);
  BatchGradient of_part(part.architecture(), Likelihood::Categorical, 3, context);
  std::vector<float> z(15), y(6);
  of_whole.forward(whole, {inputs.data(), 3, kInputs}, {z.data(), 3, 5});
  of_part.forward(part, {inputs.data(), 3, kInputs}, {y.data(), 3, 2});
  for (std::size_t r = 0; r < 3; ++r) {
    // The same chain of multiply-adds.
    REQUIRE(y[r * 2] == z[r * 5 + 4]);
    REQUIRE(y[r * 2 + 1] == z[r * 5 + 1]);
  }
  REQUIRE_THROWS_AS(restrict_outputs(whole, {5, 1}), ArgumentError);
}

TEST_CASE("spread_outputs puts every value at its parameter and 0 at the outputs left out") {
  const Architecture architecture = Architecture::parse("mlp:2-3");
  // Weights [2, 2] of outputs 2 and 0, then their biases.
  const std::vector<float> restricted = {1, 2, 3, 4, 5, 6};
  std::vector<float> values(9, -1.0f);
  spread_outputs(architecture, {2, 0}, restricted, values);
  REQUIRE(values == std::vector<float>{3, 4, 0, 0, 1, 2, 6, 0, 5});
}

TEST_CASE("a batch of one head has the loss and gradient of the network with that head only") {
  const Network whole = network_of_five();
  const OutputHeads heads(kHeads, 5);
  const std::vector<float> inputs = random_inputs(6);
  const Gradient headed = gradient_of(whole, inputs, {0, 2, 3, 3, 0, 2}, heads);
  const Gradient alone = gradient_of(restrict_outputs(whole, kHeads[1]), inputs, {0, 1, 2, 2, 0, 1}, {});
  std::vector<float> expected(whole.parameters().size());
  spread_outputs(whole.architecture(), kHeads[1], alone.values, expected);
  REQUIRE(headed.loss == alone.loss);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    // Back through the last layer two more products with 0 are added: the same sums, in another order at
    // worst.
    REQUIRE_THAT(headed.values[i], WithinAbs(expected[i], 20 * kU));
  }
}

TEST_CASE("a batch of several heads has the mean of their gradients") {
  const Network network = network_of_five();
  const OutputHeads heads(kHeads, 5);
  const std::vector<float> inputs = random_inputs(5), labels = {1, 0, 4, 3, 1};
  const Gradient mixed = gradient_of(network, inputs, labels, heads);
  double loss = 0;
  std::vector<double> sum(network.parameters().size());
  for (std::size_t n = 0; n < 5; ++n) {
    const std::vector<float> row(inputs.begin() + static_cast<std::ptrdiff_t>(n * kInputs),
                                 inputs.begin() + static_cast<std::ptrdiff_t>((n + 1) * kInputs));
    const Gradient one = gradient_of(network, row, {labels[n]}, heads);
    loss += one.loss / 5;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(one.values[i]) / 5;
  }
  REQUIRE_THAT(mixed.loss, WithinAbs(loss, 20 * kU));
  for (std::size_t i = 0; i < sum.size(); ++i) REQUIRE_THAT(mixed.values[i], WithinAbs(sum[i], 20 * kU));
  // One softmax over all outputs would be something else.
  const Gradient unheaded = gradient_of(network, inputs, labels, {});
  REQUIRE(std::abs(unheaded.loss - mixed.loss) > 0.1);
}

TEST_CASE("prediction is the largest output of the label's head") {
  const OutputHeads heads(kHeads, 5);
  const std::vector<float> z = {0.5f, 0.1f, 0.5f, 0.2f, 9.0f};
  REQUIRE(heads.predict(z.data(), 1) == 4);
  REQUIRE(heads.predict(z.data(), 3) == 0);  // the lowest of equals
}

TEST_CASE("OutputHeads refuses what is no partition, labels that are no class, and other likelihoods") {
  const auto message = [](const std::vector<std::vector<std::size_t>>& heads) {
    return OutputHeads(heads, 5);
  };
  REQUIRE_THROWS_WITH(message({{0, 1}, {2, 3}}), contains("output 4"));
  REQUIRE_THROWS_WITH(message({{0, 1, 2}, {2, 3, 4}}), contains("output 2"));
  REQUIRE_THROWS_WITH(message({{0, 1, 2}, {3, 5}}), contains("output 5"));
  REQUIRE_THROWS_WITH(message({{0, 1, 2, 3}, {4}}), contains("head 1"));
  const Network network = network_of_five();
  REQUIRE_THROWS_AS(gradient_of(network, random_inputs(1), {5}, OutputHeads(kHeads, 5)), DataError);
  const Context context(1);
  REQUIRE_THROWS_AS(
      BatchGradient(network.architecture(), Likelihood::Poisson, 1, context, OutputHeads(kHeads, 5)),
      ArgumentError);
}
