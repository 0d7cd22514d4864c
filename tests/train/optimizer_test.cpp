#include "fisherdiag/train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

constexpr double kU = 0x1p-24;
constexpr std::size_t kSize = 40003;
constexpr int kSteps = 20;

std::vector<float> random_values(std::uint64_t index, double low, double high, std::size_t n = kSize) {
  RandomStream random(9, random_stream::kTest, index);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(low + (high - low) * random.next_uniform());
  return values;
}

std::vector<float> gradient_at(int step) {
  return random_values(100 + static_cast<std::uint64_t>(step), -1, 1);
}

OptimizerOptions sgd_options(double momentum) {
  OptimizerOptions options;
  options.kind = OptimizerKind::Sgd;
  options.learning_rate = 0.05;
  options.momentum = momentum;
  return options;
}

double worst_difference(const std::vector<float>& values, const std::vector<double>& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(values[i]) - expected[i]));
  return worst;
}

std::vector<float> run(const OptimizerOptions& options, int threads, const EwcPenalty* penalty) {
  const Context context(threads);
  Optimizer optimizer(options, kSize);
  std::vector<float> theta = random_values(1, -1, 1);
  for (int step = 0; step < kSteps; ++step) {
    std::vector<float> gradient = gradient_at(step);
    if (penalty)
      optimizer.step(theta, gradient, *penalty, context);
    else
      optimizer.step(theta, gradient, context);
  }
  return theta;
}

EwcPenalty two_task_penalty(PenaltyForm form) {
  EwcPenalty penalty(form, 0.5);
  penalty.add_task(random_values(2, -1, 1), random_values(3, 0, 1));
  penalty.add_task(random_values(4, -1, 1), random_values(5, 0, 1));
  return penalty;
}

}  // namespace

TEST_CASE("the rate scale multiplies the learning rate of later steps", "[train]") {
  const Context context(1);
  Optimizer optimizer({OptimizerKind::Sgd, 0.5}, 1);
  std::vector<float> theta{1.f};
  const std::vector<float> gradient{1.f};
  optimizer.step(theta, gradient, context);
  CHECK(theta[0] == 0.5f);
  optimizer.set_rate_scale(0.5);
  optimizer.step(theta, gradient, context);
  CHECK(theta[0] == 0.25f);
  CHECK_THROWS_AS(optimizer.set_rate_scale(-1), ArgumentError);
}

TEST_CASE("Sgd follows the textbook in double") {
  for (const double momentum : {0.0, 0.9}) {
    CAPTURE(momentum);
    const OptimizerOptions options = sgd_options(momentum);
    const std::vector<float> start = random_values(1, -1, 1);
    std::vector<double> theta(start.begin(), start.end()), velocity(kSize, 0);
    for (int step = 0; step < kSteps; ++step) {
      const std::vector<float> gradient = gradient_at(step);
      for (std::size_t i = 0; i < kSize; ++i) {
        velocity[i] = momentum * velocity[i] + static_cast<double>(gradient[i]);
        theta[i] -= options.learning_rate * velocity[i];
      }
    }
    // |v| <= 10 (= 1 / (1 - 0.9)) carries at most 10 steps' worth of 3 roundings and the rate 1 more; |theta|
    // <= 11.
    const double per_step = options.learning_rate * 10 * 31 * kU + 11 * kU;
    REQUIRE(worst_difference(run(options, 2, nullptr), theta) <= kSteps * per_step);
  }
}

TEST_CASE("Adam follows the textbook in double") {
  OptimizerOptions options;
  options.learning_rate = 0.01;
  const std::vector<float> start = random_values(1, -1, 1);
  std::vector<double> theta(start.begin(), start.end()), m(kSize, 0), v(kSize, 0);
  for (int step = 0; step < kSteps; ++step) {
    const std::vector<float> gradient = gradient_at(step);
    for (std::size_t i = 0; i < kSize; ++i) {
      const double g = gradient[i];
      m[i] = options.beta1 * m[i] + (1 - options.beta1) * g;
      v[i] = options.beta2 * v[i] + (1 - options.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(options.beta1, step + 1));
      const double v_hat = v[i] / (1 - std::pow(options.beta2, step + 1));
      theta[i] -= options.learning_rate * m_hat / (std::sqrt(v_hat) + options.epsilon);
    }
  }
  // |m_hat / sqrt(v_hat)| <= 3.5 here (Cauchy-Schwarz over 20 steps); its relative error is the betas' own
  // rounding as floats (beta1 moves the weights of 20 gradients by 20 * 2.4e-8 each, beta2 by as little once
  // the correction is made of the same float) and about 12 roundings of a sum of 20: 1e-5 in all. A
  // correction made of the double beta2 would be 6e-6 off in every step, one without bias correction 100%.
  const double per_step = options.learning_rate * 3.5 * 1e-5 + 2 * kU;
  REQUIRE(worst_difference(run(options, 2, nullptr), theta) <= kSteps * per_step);
}

TEST_CASE("Adam's first step has the size of the learning rate") {
  OptimizerOptions options;
  Optimizer optimizer(options, 3);
  std::vector<float> theta{0, 0, 0};
  const std::vector<float> gradient{1e-3f, -5.0f, 100.0f};
  optimizer.step(theta, gradient, Context(1));
  REQUIRE(optimizer.steps() == 1);
  const double signs[] = {-1, 1, -1};
  for (std::size_t i = 0; i < 3; ++i) {
    // g / (|g| + epsilon): epsilon / |g| <= 1e-5 for the smallest gradient; about 12 roundings.
    REQUIRE(std::abs(static_cast<double>(theta[i]) - 1e-3 * signs[i]) <= 1e-3 * (1.01e-5 + 12 * kU));
  }
}

TEST_CASE("a fused penalty makes the same steps as its gradient added by hand") {
  for (const PenaltyForm form : {PenaltyForm::Separate, PenaltyForm::Merged})
    for (const OptimizerKind kind : {OptimizerKind::Sgd, OptimizerKind::Adam}) {
      CAPTURE(static_cast<int>(form), static_cast<int>(kind));
      OptimizerOptions options = sgd_options(kind == OptimizerKind::Sgd ? 0.9 : 0.0);
      options.kind = kind;
      const EwcPenalty penalty = two_task_penalty(form);
      const Context context(1);
      Optimizer fused(options, kSize), by_hand(options, kSize);
      std::vector<float> theta = random_values(1, -1, 1), expected = theta;
      std::vector<float> gradient = gradient_at(0), sum = gradient;
      fused.step(theta, gradient, penalty, context);
      penalty.add_gradient(expected, sum, context);
      by_hand.step(expected, sum, context);
      double worst = 0;
      for (std::size_t i = 0; i < kSize; ++i)
        // Adam's first step is nearly rate * sign(g): left out where g cancels to almost nothing.
        if (std::abs(sum[i]) >= 1e-3f)
          worst = std::max(worst, std::abs(static_cast<double>(theta[i]) - static_cast<double>(expected[i])));
      // Gradients (<= 3) of the same terms added in another order differ by 6 roundings of 3; a step adds up
      // to 12 roundings of its own size, the rate; theta (<= 1) rounds once on each side.
      REQUIRE(worst <= options.learning_rate * 30 * kU + 2 * kU);
    }
}

TEST_CASE("an L2 penalty is a Fisher diagonal of ones") {
  const Context context(1);
  const std::vector<float> anchor = random_values(2, -1, 1), ones(kSize, 1.0f), gradient = gradient_at(0);
  for (const double momentum : {0.0, 0.9}) {
    Optimizer l2(sgd_options(momentum), kSize), ewc(sgd_options(momentum), kSize);
    std::vector<float> a = random_values(1, -1, 1), b = a;
    l2.step(a, gradient, kernels::StepPenalty{anchor.data(), nullptr, 0.5f}, context);
    ewc.step(b, gradient, kernels::StepPenalty{anchor.data(), ones.data(), 0.5f}, context);
    REQUIRE(a == b);
    REQUIRE(a != random_values(1, -1, 1));
  }
}

TEST_CASE("optimisers have the same bits for every number of threads") {
  OptimizerOptions adam;
  const EwcPenalty separate = two_task_penalty(PenaltyForm::Separate);
  const EwcPenalty* const no_penalty = nullptr;
  for (const OptimizerOptions& options : {sgd_options(0.9), adam})
    for (const EwcPenalty* penalty : {no_penalty, &separate}) {
      const std::vector<float> expected = run(options, 1, penalty);
      for (const int threads : {2, 3, 7}) {
        CAPTURE(threads, static_cast<int>(options.kind), penalty != nullptr);
        const std::vector<float> theta = run(options, threads, penalty);
        REQUIRE(std::memcmp(theta.data(), expected.data(), kSize * sizeof(float)) == 0);
      }
    }
}

TEST_CASE("Optimizer refuses options out of range") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refused = [](double OptimizerOptions::*member, double value, OptimizerKind kind) {
    OptimizerOptions options;
    options.kind = kind;
    options.*member = value;
    REQUIRE_THROWS_AS(Optimizer(options, 3), ArgumentError);
  };
  for (const OptimizerKind kind : {OptimizerKind::Sgd, OptimizerKind::Adam})
    for (const double rate : {0.0, -1.0, nan, std::numeric_limits<double>::infinity()})
      refused(&OptimizerOptions::learning_rate, rate, kind);
  for (const double value : {-0.1, 1.0, nan}) {
    refused(&OptimizerOptions::momentum, value, OptimizerKind::Sgd);
    refused(&OptimizerOptions::beta1, value, OptimizerKind::Adam);
    refused(&OptimizerOptions::beta2, value, OptimizerKind::Adam);
  }
  refused(&OptimizerOptions::epsilon, 0.0, OptimizerKind::Adam);
}

TEST_CASE("Optimizer refuses vectors of another size") {
  const Context context(1);
  Optimizer optimizer(OptimizerOptions{}, 3);
  std::vector<float> three(3), two(2);
  REQUIRE_THROWS_AS(optimizer.step(two, three, context), ArgumentError);
  REQUIRE_THROWS_AS(optimizer.step(three, two, context), ArgumentError);
  EwcPenalty penalty(PenaltyForm::Merged, 1.0);
  penalty.add_task(two, two);
  REQUIRE_THROWS_AS(optimizer.step(three, three, penalty, context), ArgumentError);
  REQUIRE(optimizer.steps() == 0);
}
