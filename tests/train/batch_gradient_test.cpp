#include "fisherdiag/train/batch_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

struct Problem {
  Network network;
  std::vector<float> inputs, targets;
  std::size_t rows, target_width;
};

Problem make_problem(const std::string& architecture, Likelihood likelihood, std::size_t rows) {
  Network network = Network::random(Architecture::parse(architecture), 3);
  const std::size_t width = likelihood == Likelihood::Categorical ? 1 : network.architecture().outputs();
  const std::size_t features = network.architecture().inputs();
  Problem p{std::move(network), std::vector<float>(rows * features), std::vector<float>(rows * width), rows,
            width};
  RandomStream random(5, random_stream::kTest, 0);
  for (float& x : p.inputs) x = static_cast<float>(random.next_normal());
  for (float& y : p.targets)
    y = likelihood == Likelihood::Gaussian ? static_cast<float>(random.next_normal())
                                           : static_cast<float>(random.next_below(2));
  return p;
}

double loss_of(Problem& p, Likelihood likelihood, const Context& context, std::span<float> gradient) {
  BatchGradient batch(p.network.architecture(), likelihood, p.rows, context);
  return batch.compute(p.network, {p.inputs.data(), p.rows, p.network.architecture().inputs()},
                       {p.targets.data(), p.rows, p.target_width}, gradient);
}

}  // namespace

TEST_CASE("batch gradient is the derivative of the mean loss", "[train]") {
  const Likelihood likelihood =
      GENERATE(Likelihood::Categorical, Likelihood::Gaussian, Likelihood::Bernoulli, Likelihood::Poisson);
  const Context context(2);
  Problem p = make_problem("mlp:5-7-4-3:tanh", likelihood, 41);
  std::vector<float> gradient(p.network.parameters().size()), unused(gradient.size());
  loss_of(p, likelihood, context, gradient);
  for (std::size_t i = 0; i < gradient.size(); i += 3) {
    constexpr float kStep = 1e-2f;
    float& theta = p.network.parameters()[i];
    const float centre = theta;
    theta = centre + kStep;
    const double above = loss_of(p, likelihood, context, unused);
    theta = centre - kStep;
    const double below = loss_of(p, likelihood, context, unused);
    theta = centre;
    CAPTURE(static_cast<int>(likelihood), i);
    // Truncation h^2/6 |f'''| with |f'''| of order 1, and float losses of size <= 4 with error 4e-7 over 2h.
    REQUIRE(std::abs((above - below) / (2.0 * kStep) - gradient[i]) <= 1e-4 + 4e-7 / kStep * 2);
  }
}

TEST_CASE("batch gradient has the same bits for every number of threads", "[train]") {
  Problem p = make_problem("mlp:33-70-10", Likelihood::Categorical, 128);
  std::vector<float> first(p.network.parameters().size()), other(first.size());
  const double loss = loss_of(p, Likelihood::Categorical, Context(1), first);
  for (int threads : {2, 3, 7}) {
    REQUIRE(loss_of(p, Likelihood::Categorical, Context(threads), other) == loss);
    REQUIRE(other == first);
  }
}

namespace {

/// Three steps of training with a penalty, either by BatchGradient::step or by its two halves.
std::vector<float> three_steps(const std::string& architecture, const OptimizerOptions& options,
                               const EwcPenalty* penalty, bool fused, int threads) {
  const Context context(threads);
  Problem p = make_problem(architecture, Likelihood::Categorical, 65);
  const std::span<float> theta = p.network.parameters();
  BatchGradient batch(p.network.architecture(), Likelihood::Categorical, p.rows, context);
  Optimizer optimizer(options, theta.size());
  std::vector<float> gradient(theta.size());
  const MatrixView<const float> inputs{p.inputs.data(), p.rows, p.network.architecture().inputs()},
      targets{p.targets.data(), p.rows, 1};
  double seconds = 0;
  for (int step = 0; step < 3; ++step) {
    if (fused) {
      batch.step(
          p.network, inputs, targets, [&] { return optimizer.begin(theta, penalty, context); }, seconds);
    } else {
      batch.compute(p.network, inputs, targets, gradient);
      if (penalty)
        optimizer.step(theta, gradient, *penalty, context);
      else
        optimizer.step(theta, gradient, context);
    }
  }
  REQUIRE(seconds >= 0);
  return {theta.begin(), theta.end()};
}

}  // namespace

TEST_CASE("a training step has the bits of its gradient followed by the optimiser", "[train]") {
  // Wider than a tile, and with leftovers everywhere; a graph takes the other way.
  const std::string architecture = GENERATE("mlp:401-70-10", "lenet5");
  const std::size_t count = Architecture::parse(architecture).parameter_count();
  OptimizerOptions options;
  options.kind = GENERATE(OptimizerKind::Sgd, OptimizerKind::Adam);
  options.momentum = options.kind == OptimizerKind::Sgd ? 0.9 : 0;
  std::vector<float> anchor(count, 0.1f), fisher(count, 2.f);
  EwcPenalty merged(PenaltyForm::Merged, 3.0), separate(PenaltyForm::Separate, 3.0);
  merged.add_task(anchor, fisher);
  for (int task = 0; task < 3; ++task) separate.add_task(anchor, fisher);
  for (const EwcPenalty* penalty : std::initializer_list<const EwcPenalty*>{nullptr, &merged, &separate}) {
    const std::vector<float> expected = three_steps(architecture, options, penalty, false, 1);
    for (int threads : {1, 2, 3})
      REQUIRE(three_steps(architecture, options, penalty, true, threads) == expected);
  }
}

TEST_CASE("a step whose loss is not finite changes nothing", "[train]") {
  const Context context(1);
  Problem p = make_problem("mlp:5-3", Likelihood::Categorical, 4);
  p.inputs[3] = std::numeric_limits<float>::infinity();
  Optimizer optimizer(OptimizerOptions{}, p.network.parameters().size());
  BatchGradient batch(p.network.architecture(), Likelihood::Categorical, 4, context);
  const std::vector<float> before(p.network.parameters().begin(), p.network.parameters().end());
  double seconds = 0;
  REQUIRE_THROWS_AS(batch.step(
                        p.network, {p.inputs.data(), 4, 5}, {p.targets.data(), 4, 1},
                        [&] { return optimizer.begin(p.network.parameters(), nullptr, context); }, seconds),
                    DataError);
  REQUIRE(std::ranges::equal(before, p.network.parameters()));
  REQUIRE(optimizer.steps() == 0);
}

TEST_CASE("a label outside the classes is an error", "[train]") {
  Problem p = make_problem("mlp:5-3", Likelihood::Categorical, 4);
  p.targets[2] = 3;
  std::vector<float> gradient(p.network.parameters().size());
  REQUIRE_THROWS_AS(loss_of(p, Likelihood::Categorical, Context(1), gradient), DataError);
}
