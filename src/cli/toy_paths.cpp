// fisherdiag toy paths: the picture of the EWC paper (Kirkpatrick et al. 2017, figure 1) from a real
// computation. The model has a weight and a bias, P(y = 1 | x) = sigmoid(w x + b); task A's inputs lie far
// from 0 and pin w down, task B's lie near 0 and want another line.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "cli/ellipse.hpp"
#include "cli/errors.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/toy.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/ewc/penalty.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/fisher/full_matrix.hpp"
#include "fisherdiag/train/batch_gradient.hpp"
#include "fisherdiag/train/optimizer.hpp"

namespace fisherdiag::cli {

namespace {

using Point = std::array<float, 2>;  // w, b

constexpr std::size_t kSamples = 400;
/// A loss this far above its minimum, in nats per sample, still counts as low.
constexpr double kLowLoss = 0.1;
constexpr Likelihood kLikelihood = Likelihood::Bernoulli;
/// Steps of gradient descent, as parts of one over a bound of the curvature: small enough to draw.
constexpr double kStepFraction = 0.1;
constexpr std::size_t kMostSteps = 5000;
/// Strengths tried for each penalty: 10^(-2 .. 2) in quarters of a decade.
constexpr int kStrengths = 17;

/// Inputs of alternating sign with |x| spread evenly over [nearest, farthest], and the line labels follow.
struct TaskShape {
  const char* name;
  double nearest, farthest;
  double weight, bias;
};
constexpr TaskShape kTaskA{"A", 5, 9, 0.5, -0.5}, kTaskB{"B", 0, 2, -0.3, 2};

/// A task's samples and its mean loss as a function of (w, b), by the engine.
class Task {
 public:
  Task(const TaskShape& shape, std::uint64_t seed, std::uint64_t index, const Context& context)
      : network_(Architecture::parse("mlp:1-1")),
        gradient_(network_.architecture(), kLikelihood, kSamples, context) {
    RandomStream random(seed, random_stream::kSynthetic, index);
    for (std::size_t n = 0; n < kSamples; ++n) {
      const double distance =
          shape.nearest + (shape.farthest - shape.nearest) * (static_cast<double>(n) + 0.5) / kSamples;
      const double x = n % 2 ? distance : -distance;
      const double p = 1 / (1 + std::exp(-(shape.weight * x + shape.bias)));
      inputs_.push_back(static_cast<float>(x));
      labels_.push_back(random.next_uniform() < p ? 1.0f : 0.0f);
    }
    for (const float x : inputs_) mean_square_ += static_cast<double>(x) * static_cast<double>(x) / kSamples;
  }

  double loss(const Point& theta, Point& gradient) {
    std::copy(theta.begin(), theta.end(), network_.parameters().begin());
    return gradient_.compute(network_, {inputs_.data(), kSamples, 1}, {labels_.data(), kSamples, 1},
                             gradient);
  }
  double loss(const Point& theta) {
    Point ignored;
    return loss(theta, ignored);
  }

  /// The network at theta and the samples, for Fisher passes.
  const Network& network_at(const Point& theta) {
    std::copy(theta.begin(), theta.end(), network_.parameters().begin());
    return network_;
  }
  std::unique_ptr<Dataset> data() const { return make_dataset(inputs_, 1, {}, labels_, 1); }
  /// Of any second derivative: p (1 - p) <= 1/4.
  double curvature_bound() const { return (1 + mean_square_) / 4; }

 private:
  Network network_;
  BatchGradient gradient_;
  std::vector<float> inputs_, labels_;
  double mean_square_ = 0;
};

Symmetric2 full_fisher(Task& task, const Point& theta, const Context& context) {
  FullMatrixOptions options;
  options.estimator.kind = EstimatorKind::Exact;
  options.likelihood = kLikelihood;
  const FisherMatrix f = compute_full_fisher(task.network_at(theta), *task.data(), options, context);
  return {f(0, 0), f(0, 1), f(1, 1)};
}

Point fisher_diagonal(Task& task, const Point& theta, const Context& context) {
  FisherOptions options;
  options.estimator.kind = EstimatorKind::Exact;
  options.likelihood = kLikelihood;
  const FisherDiagonal f = compute_fisher(task.network_at(theta), *task.data(), options, context);
  return {f.values()[0], f.values()[1]};
}

/// Newton's method: the model is linear in its parameters, so the exact full Fisher is the loss's Hessian.
Point minimum(Task& task, const Context& context) {
  constexpr int kIterations = 30;
  Point theta{}, gradient;
  double loss = task.loss(theta, gradient);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    const Symmetric2 h = inverse(full_fisher(task, theta, context));
    const std::array<double, 2> g{static_cast<double>(gradient[0]), static_cast<double>(gradient[1])};
    const std::array<double, 2> step{h.xx * g[0] + h.xy * g[1], h.xy * g[0] + h.yy * g[1]};
    double scale = 1;  // halved while a step leads up
    Point next;
    for (int halvings = 0; halvings < kIterations; ++halvings, scale /= 2) {
      for (std::size_t i = 0; i < 2; ++i)
        next[i] = static_cast<float>(static_cast<double>(theta[i]) - scale * step[i]);
      if (task.loss(next) <= loss) break;
    }
    theta = next;
    loss = task.loss(theta, gradient);
  }
  return theta;
}

struct Path {
  double lambda = 0;
  std::vector<Point> points;  ///< thinned; first and last are kept
  std::size_t steps = 0;
  double excess_a = 0, excess_b = 0;  ///< loss above the minimum, at the end

  double worst() const { return std::max(excess_a, excess_b); }
};

/// What all paths share.
struct Scene {
  Task a, b;
  const Context& context;
  Point at_a{}, at_b{};
  double lowest_a = 0, lowest_b = 0;
  Point fisher{};
  Symmetric2 full;

  Scene(std::uint64_t seed, const Context& c) : a(kTaskA, seed, 0, c), b(kTaskB, seed, 1, c), context(c) {
    at_a = minimum(a, c);
    at_b = minimum(b, c);
    lowest_a = a.loss(at_a);
    lowest_b = b.loss(at_b);
    fisher = fisher_diagonal(a, at_a, c);
    full = full_fisher(a, at_a, c);
  }
};

/// Gradient descent on B's loss + lambda/2 sum_i weight_i (theta - theta*_A)^2 from theta*_A.
Path descend(Scene& scene, double lambda, const Point& weight) {
  constexpr float kApart = 0.01f, kStill = 1e-7f;
  EwcPenalty penalty(PenaltyForm::Online, lambda);
  penalty.add_task(scene.at_a, weight);
  OptimizerOptions options;
  options.kind = OptimizerKind::Sgd;
  options.learning_rate = kStepFraction / (scene.b.curvature_bound() +
                                           lambda * static_cast<double>(std::max(weight[0], weight[1])));
  Optimizer optimizer(options, 2);
  Path path;
  path.lambda = lambda;
  path.points.push_back(scene.at_a);
  Point theta = scene.at_a, gradient, before;
  const auto distance = [](const Point& p, const Point& q) { return std::hypot(p[0] - q[0], p[1] - q[1]); };
  do {
    before = theta;
    scene.b.loss(theta, gradient);
    optimizer.step(theta, gradient, penalty, scene.context);
    if (distance(theta, path.points.back()) >= kApart) path.points.push_back(theta);
  } while (++path.steps < kMostSteps && distance(theta, before) > kStill);
  throw_if_interrupted();
  path.points.push_back(theta);
  path.excess_a = scene.a.loss(theta) - scene.lowest_a;
  path.excess_b = scene.b.loss(theta) - scene.lowest_b;
  return path;
}

/// The strength whose path ends with the smaller larger of the two losses: each penalty at its best.
Path best_path(Scene& scene, const Point& weight) {
  Path best;
  best.excess_a = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kStrengths; ++i) {
    Path path = descend(scene, std::pow(10.0, -2 + 0.25 * i), weight);
    if (path.worst() < best.worst()) best = std::move(path);
  }
  return best;
}

/// Where a task's loss is `excess` above its minimum, on rays from there; the loss is convex. `fisher` is the
/// task's at the minimum: rays are even where its ellipse is a circle, so that long regions keep their tips.
std::vector<Point> region(Task& task, const Point& center, const Symmetric2& fisher, double lowest,
                          double excess) {
  constexpr int kRays = 96, kHalvings = 24;
  constexpr double kFarthest = 64;
  // Columns of a square root of the inverse, by Cholesky's method.
  const Symmetric2 covariance = inverse(fisher);
  const double xx = std::sqrt(covariance.xx), yx = covariance.xy / xx,
               yy = std::sqrt(covariance.yy - yx * yx);
  std::vector<Point> boundary;
  for (int ray = 0; ray < kRays; ++ray) {
    const double angle = 2 * std::numbers::pi * ray / kRays;
    const double w = xx * std::cos(angle), b = yx * std::cos(angle) + yy * std::sin(angle);
    const auto at = [&](double r) {
      return Point{center[0] + static_cast<float>(r * w), center[1] + static_cast<float>(r * b)};
    };
    double inside = 0, outside = kFarthest;
    for (int i = 0; i < kHalvings; ++i) {
      const double middle = (inside + outside) / 2;
      (task.loss(at(middle)) - lowest < excess ? inside : outside) = middle;
    }
    boundary.push_back(at(inside));
  }
  return boundary;
}

Json regions(Task& task, const Point& center, double lowest, const Context& context) {
  const Symmetric2 fisher = full_fisher(task, center, context);
  Json json = Json::array();
  for (const double factor : {1.0, 4.0, 12.0})
    json.push_back({{"excess", factor * kLowLoss},
                    {"boundary", region(task, center, fisher, lowest, factor * kLowLoss)}});
  return json;
}

Json to_json(const TaskShape& shape) {
  return {{"samples", kSamples},
          {"distance_of_inputs_from_0", {shape.nearest, shape.farthest}},
          {"weight", shape.weight},
          {"bias", shape.bias}};
}

Json to_json(const Path& path, const Scene& scene, bool penalized) {
  return {{"lambda", penalized ? Json(path.lambda) : Json(nullptr)},
          {"steps", path.steps},
          {"end", path.points.back()},
          {"loss_a", scene.lowest_a + path.excess_a},
          {"loss_b", scene.lowest_b + path.excess_b},
          {"excess_a", path.excess_a},
          {"excess_b", path.excess_b},
          {"low_loss_a", path.excess_a <= kLowLoss},
          {"low_loss_b", path.excess_b <= kLowLoss}};
}

struct Paths {
  Path none, l2, ewc;
};

Json to_json(Scene& scene, const Paths& paths, std::uint64_t seed) {
  const std::array<double, 2> center{static_cast<double>(scene.at_a[0]), static_cast<double>(scene.at_a[1])};
  const Symmetric2 diagonal{static_cast<double>(scene.fisher[0]), 0, static_cast<double>(scene.fisher[1])};
  Json json = Json::object();
  json["example"] = "paths";
  json["parameters"] = {"w", "b"};
  json["seed"] = seed;
  json["low_loss"] = kLowLoss;
  json["tasks"] = {{"a", to_json(kTaskA)}, {"b", to_json(kTaskB)}};
  json["minima"] = {
      {"a", {{"theta", scene.at_a}, {"loss", scene.lowest_a}, {"loss_of_b", scene.b.loss(scene.at_a)}}},
      {"b", {{"theta", scene.at_b}, {"loss", scene.lowest_b}, {"loss_of_a", scene.a.loss(scene.at_b)}}}};
  json["fisher_diagonal"] = scene.fisher;
  json["fisher"] = to_json(scene.full);
  // Where the quadratic that F stands for says the loss of A is kLowLoss above its minimum.
  json["ellipse"] = to_json(ellipse(center, inverse(diagonal), 2 * kLowLoss));
  json["ellipse_of_full_fisher"] = to_json(ellipse(center, inverse(scene.full), 2 * kLowLoss));
  json["ends"] = {{"none", to_json(paths.none, scene, false)},
                  {"l2", to_json(paths.l2, scene, true)},
                  {"ewc", to_json(paths.ewc, scene, true)}};
  json["paths"] = {{"none", paths.none.points}, {"l2", paths.l2.points}, {"ewc", paths.ewc.points}};
  json["regions"] = {{"a", regions(scene.a, scene.at_a, scene.lowest_a, scene.context)},
                     {"b", regions(scene.b, scene.at_b, scene.lowest_b, scene.context)}};
  json["threads"] = scene.context.threads();
  json["isa"] = isa_name(scene.context.isa());
  json["version"] = version();
  return json;
}

std::string to_text(const Paths& paths) {
  std::vector<std::vector<std::string>> rows{
      {"from A's solution", "lambda", "w", "b", "A above its minimum", "B above its minimum", "low loss of"}};
  const auto add = [&](const char* name, const Path& path, bool penalized) {
    const bool a = path.excess_a <= kLowLoss, b = path.excess_b <= kLowLoss;
    rows.push_back(
        {name, penalized ? number(path.lambda) : "-", number(static_cast<double>(path.points.back()[0])),
         number(static_cast<double>(path.points.back()[1])), number(path.excess_a), number(path.excess_b),
         a && b ? "both"
         : a    ? "A"
         : b    ? "B"
                : "neither"});
  };
  add("no penalty", paths.none, false);
  add("L2", paths.l2, true);
  add("EWC", paths.ewc, true);
  return table(rows) + "\nlow: at most " + number(kLowLoss) +
         " nats per sample above the minimum; L2 and EWC each with the best of " +
         std::to_string(kStrengths) + " strengths\n";
}

}  // namespace

int toy_paths(const ToyOptions& options) {
  const Context context = make_context(options.common);
  Scene scene(options.seed, context);
  const Paths paths{descend(scene, 0, {1, 1}), best_path(scene, {1, 1}), best_path(scene, scene.fisher)};
  if (options.common.json)
    print_json(to_json(scene, paths, options.seed));
  else
    print(to_text(paths));
  return kDone;
}

}  // namespace fisherdiag::cli
