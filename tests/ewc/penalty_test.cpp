#include "fisherdiag/ewc/penalty.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
using fisherdiag::testing::contains;

namespace {

constexpr double kU = 0x1p-24;

std::vector<float> random_values(std::size_t n, std::uint64_t index, double low, double high) {
  RandomStream random(42, random_stream::kTest, index);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(low + (high - low) * random.next_uniform());
  return values;
}

struct Task {
  std::vector<float> anchor;
  std::vector<float> fisher;
};

std::vector<Task> random_tasks(std::size_t count, std::size_t n) {
  std::vector<Task> tasks;
  for (std::size_t k = 0; k < count; ++k)
    tasks.push_back({random_values(n, 10 + 2 * k, -1, 1), random_values(n, 11 + 2 * k, 0, 2)});
  return tasks;
}

EwcPenalty penalty_over(PenaltyForm form, double lambda, const std::vector<Task>& tasks, double decay = 1) {
  EwcPenalty penalty(form, lambda, decay);
  for (const Task& task : tasks) penalty.add_task(task.anchor, task.fisher);
  return penalty;
}

// lambda/2 sum_k sum_i F (theta - anchor)^2 and its gradient, in double.
struct Naive {
  double value = 0;
  std::vector<double> gradient;
  double slack = 0;  // what moving every merged anchor by u and every F by 3u changes in the value
  std::vector<double> gradient_slack;  // the same for the gradient, roundings of the kernel included
};

Naive naive_penalty(const std::vector<Task>& tasks, double lambda, const std::vector<float>& theta) {
  Naive result;
  result.gradient.assign(theta.size(), 0);
  result.gradient_slack.assign(theta.size(), 0);
  for (const Task& task : tasks)
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const double f = task.fisher[i],
                   d = static_cast<double>(theta[i]) - static_cast<double>(task.anchor[i]);
      result.value += 0.5 * lambda * f * d * d;
      result.gradient[i] += lambda * f * d;
      // |theta|, |anchor| <= 1, one anchor rounding for each task, distances to the merged anchor <= 2.
      const double moves = static_cast<double>(tasks.size()) * kU;
      result.slack += lambda * f * 2 * moves + 3 * moves * lambda * f * 4;
      result.gradient_slack[i] += lambda * f * moves + 8 * moves * lambda * f * 2;
    }
  return result;
}

constexpr std::size_t kSize = 40003;

}  // namespace

TEST_CASE("separate and merged penalties both equal the naive sum over tasks") {
  const std::vector<Task> tasks = random_tasks(3, kSize);
  const std::vector<float> theta = random_values(kSize, 1, -1, 1);
  const double lambda = 2.5;
  const Naive naive = naive_penalty(tasks, lambda, theta);
  for (const Isa isa : available_isas())
    for (const PenaltyForm form : {PenaltyForm::Separate, PenaltyForm::Merged}) {
      CAPTURE(isa_name(isa), static_cast<int>(form));
      const Context context(2, isa);
      const EwcPenalty penalty = penalty_over(form, lambda, tasks);
      REQUIRE(penalty.tasks() == 3);
      REQUIRE(penalty.terms() == (form == PenaltyForm::Separate ? 3 : 1));
      // The kernel's own error: 5 roundings a term and float chains of at most 256 + 2.
      REQUIRE_THAT(penalty.value(theta, context),
                   WithinAbs(naive.value, naive.slack + 263 * kU * naive.value));
      std::vector<float> gradient(kSize, 0.0f);
      penalty.add_gradient(theta, gradient, context);
      double worst = 0;
      for (std::size_t i = 0; i < kSize; ++i)
        worst = std::max(worst, std::abs(static_cast<double>(gradient[i]) - naive.gradient[i]) /
                                    (naive.gradient_slack[i] + 1e-30));
      REQUIRE(worst <= 1.0);
    }
}

TEST_CASE("a merged penalty keeps the disagreement of its tasks as a constant") {
  const Context context(1);
  EwcPenalty penalty(PenaltyForm::Merged, 3.0);
  penalty.add_task(std::vector<float>{0}, std::vector<float>{1});
  penalty.add_task(std::vector<float>{2}, std::vector<float>{1});
  const std::vector<float> middle{1};
  REQUIRE(penalty.anchor(0)[0] == 1.0f);
  REQUIRE(penalty.fisher(0)[0] == 2.0f);
  // 3/2 (1 (1-0)^2 + 1 (1-2)^2), exact in binary.
  REQUIRE(penalty.value(middle, context) == 3.0);
  penalty.add_task(std::vector<float>{4}, std::vector<float>{2});
  // Then 3/2 (1 + 1 + 2 (1-4)^2): anchors 0, 2, 4 with F 1, 1, 2 merge into 2.5 with F 4.
  REQUIRE(penalty.anchor(0)[0] == 2.5f);
  REQUIRE(penalty.value(middle, context) == 30.0);
}

TEST_CASE("parameters without Fisher information stay free in a merged penalty") {
  const Context context(1);
  EwcPenalty penalty(PenaltyForm::Merged, 1.0);
  penalty.add_task(std::vector<float>{1, 5}, std::vector<float>{0, 1});
  penalty.add_task(std::vector<float>{2, 5}, std::vector<float>{0, 1});
  REQUIRE(penalty.anchor(0)[0] == 2.0f);
  const std::vector<float> far{100, 5};
  std::vector<float> gradient(2, 0.0f);
  REQUIRE(penalty.value_and_add_gradient(far, gradient, context) == 0.0);
  REQUIRE(gradient == std::vector<float>{0, 0});
}

TEST_CASE("the online penalty follows F <- gamma F_old + F_new with the latest anchor") {
  const std::vector<Task> tasks = random_tasks(3, 100);
  const double gamma = 0.75, lambda = 4;
  const EwcPenalty penalty = penalty_over(PenaltyForm::Online, lambda, tasks, gamma);
  REQUIRE(penalty.terms() == 1);
  const std::vector<float> theta = random_values(100, 1, -1, 1);
  double value = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    const double f1 = tasks[0].fisher[i], f2 = tasks[1].fisher[i], f3 = tasks[2].fisher[i];
    const double f = gamma * (gamma * f1 + f2) + f3;
    // Two sums stored as floats.
    REQUIRE_THAT(static_cast<double>(penalty.fisher(0)[i]), WithinRel(f, 2.1 * kU));
    REQUIRE(penalty.anchor(0)[i] == tasks[2].anchor[i]);
    const double d = static_cast<double>(theta[i]) - static_cast<double>(tasks[2].anchor[i]);
    value += lambda / 2 * f * d * d;
  }
  // 2 roundings of F, 5 of a term, chains of at most 100 / 4 + 2 additions.
  REQUIRE_THAT(penalty.value(theta, Context(1)), WithinRel(value, 34 * kU));
}

TEST_CASE("the gradient is the derivative of the value") {
  constexpr std::size_t kParameters = 60;
  std::vector<Task> tasks = random_tasks(2, kParameters);
  std::vector<float> theta = random_values(kParameters, 1, -1, 1);
  // Multiples of 2^-10, so that theta +- h is exact.
  for (float& value : theta) value = std::round(value * 1024) / 1024;
  const Context context(1);
  for (const PenaltyForm form : {PenaltyForm::Separate, PenaltyForm::Merged, PenaltyForm::Online}) {
    CAPTURE(static_cast<int>(form));
    const EwcPenalty penalty = penalty_over(form, 2.0, tasks, form == PenaltyForm::Online ? 0.5 : 1.0);
    std::vector<float> gradient(kParameters, 0.0f);
    penalty.add_gradient(theta, gradient, context);
    for (std::size_t i = 0; i < kParameters; ++i) {
      const float h = 0.25f;
      std::vector<float> up = theta, down = theta;
      up[i] += h;
      down[i] -= h;
      const double high = penalty.value(up, context), low = penalty.value(down, context);
      // A quadratic has no truncation error: only the two values' roundings (at most 24 u each, as 5
      // roundings of a term and 15 + 4 additions), divided by 2h.
      REQUIRE_THAT(static_cast<double>(gradient[i]),
                   WithinAbs((high - low) / 0.5, 24 * kU * (high + low) / 0.5));
    }
  }
}

TEST_CASE("the penalty has the same bits for every number of threads") {
  constexpr std::size_t kParameters = 100003;
  const std::vector<float> theta = random_values(kParameters, 1, -1, 1);
  for (const PenaltyForm form : {PenaltyForm::Separate, PenaltyForm::Merged, PenaltyForm::Online}) {
    const EwcPenalty penalty = penalty_over(form, 1.5, random_tasks(3, kParameters));
    std::vector<float> expected = random_values(kParameters, 2, -1, 1);
    const double value = penalty.value_and_add_gradient(theta, expected, Context(1));
    for (const int threads : {1, 2, 3, 7}) {
      CAPTURE(static_cast<int>(form), threads);
      const Context context(threads);
      std::vector<float> fused = random_values(kParameters, 2, -1, 1), alone = fused;
      REQUIRE(penalty.value(theta, context) == value);
      REQUIRE(penalty.value_and_add_gradient(theta, fused, context) == value);
      penalty.add_gradient(theta, alone, context);
      REQUIRE(std::memcmp(fused.data(), expected.data(), kParameters * sizeof(float)) == 0);
      REQUIRE(std::memcmp(alone.data(), expected.data(), kParameters * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("a penalty without tasks is zero") {
  const EwcPenalty penalty(PenaltyForm::Merged, 100.0);
  const std::vector<float> theta{1, 2, 3};
  std::vector<float> gradient{4, 5, 6};
  REQUIRE(penalty.value_and_add_gradient(theta, gradient, Context(1)) == 0.0);
  REQUIRE(gradient == std::vector<float>{4, 5, 6});
  REQUIRE(penalty.terms() == 0);
}

TEST_CASE("EwcPenalty refuses lambda and decay factor out of range") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const double lambda : {-1.0, nan, inf, 1e39})
    REQUIRE_THROWS_AS(EwcPenalty(PenaltyForm::Merged, lambda), ArgumentError);
  for (const double decay : {0.0, -0.5, 1.001, nan})
    REQUIRE_THROWS_AS(EwcPenalty(PenaltyForm::Online, 1.0, decay), ArgumentError);
  REQUIRE_NOTHROW(EwcPenalty(PenaltyForm::Online, 0.0, 1.0));
}

TEST_CASE("add_task refuses sizes and values it cannot use, and then changes nothing") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const float huge = std::numeric_limits<float>::max();
  for (const PenaltyForm form : {PenaltyForm::Separate, PenaltyForm::Merged, PenaltyForm::Online}) {
    EwcPenalty penalty(form, 1.0);
    const std::vector<float> anchor{1, 2}, fisher{1, huge};
    REQUIRE_THROWS_AS(penalty.add_task(anchor, std::vector<float>{1}), ArgumentError);
    penalty.add_task(anchor, fisher);
    REQUIRE_THROWS_AS(penalty.add_task(std::vector<float>{1}, std::vector<float>{1}), ArgumentError);
    REQUIRE_THROWS_AS(penalty.add_task(std::vector<float>{nan, 0}, fisher), DataError);
    REQUIRE_THROWS_AS(penalty.add_task(anchor, std::vector<float>{0, inf}), DataError);
    REQUIRE_THROWS_WITH(penalty.add_task(anchor, std::vector<float>{0, -1}),
                        contains("parameter 1") && contains("negative"));
    if (form != PenaltyForm::Separate)
      REQUIRE_THROWS_AS(penalty.add_task(std::vector<float>{7, 7}, fisher), DataError);  // the sum overflows
    REQUIRE(penalty.tasks() == 1);
    REQUIRE(penalty.terms() == 1);
    REQUIRE(penalty.anchor(0)[0] == 1.0f);
    REQUIRE(penalty.fisher(0)[0] == 1.0f);
  }
}

TEST_CASE("value and gradient refuse vectors of another size") {
  const EwcPenalty penalty = penalty_over(PenaltyForm::Separate, 1.0, random_tasks(1, 10));
  const Context context(1);
  std::vector<float> ten(10), nine(9);
  REQUIRE_THROWS_AS(penalty.value(nine, context), ArgumentError);
  REQUIRE_THROWS_AS(penalty.add_gradient(nine, ten, context), ArgumentError);
  REQUIRE_THROWS_AS(penalty.add_gradient(ten, nine, context), ArgumentError);
  REQUIRE_THROWS_AS(penalty.value_and_add_gradient(ten, nine, context), ArgumentError);
}
