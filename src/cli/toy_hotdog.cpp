// fisherdiag toy hotdog. A universe makes hot dogs with buns at rate theta1 and hot dogs alone at rate
// theta2; what is seen are h = theta1 + theta2 hot dogs and b = theta1 buns, each with an error (the example
// of D. Wittman, "Fisher Matrix for Beginners", under other names).
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "cli/ellipse.hpp"
#include "cli/errors.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/toy.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/fisher/full_matrix.hpp"
#include "fisherdiag/likelihood/poisson_draw.hpp"

namespace fisherdiag::cli {

namespace {

/// The engine's inputs 1/sigma and seeds are floats: four roundings of 6e-8.
constexpr double kEngineTolerance = 1e-6;
/// Standard errors between Monte Carlo and algebra that never happen by chance.
constexpr double kMostStandardErrors = 5;
constexpr std::array<double, 2> kLevels{0.68, 0.95};

/// A number seen: its mean depends on theta through `slope`.
struct Observation {
  std::array<double, 2> slope;
  double mean;
  double variance;
  bool count;  ///< Poisson, and then variance = mean; else Gaussian
};

/// Hot dogs, buns and, if there is a prior, theta1 itself: a prior is one more observation.
std::vector<Observation> observations(const ToyOptions& options, bool counts, std::optional<double> prior) {
  const double h = options.theta1 + options.theta2, b = options.theta1;
  std::vector<Observation> result{{{1, 1}, h, counts ? h : options.sigma_h * options.sigma_h, counts},
                                  {{1, 0}, b, counts ? b : options.sigma_b * options.sigma_b, counts}};
  if (prior) result.push_back({{1, 0}, options.theta1, *prior * *prior, false});
  return result;
}

/// Fisher matrix and covariance by one route.
struct Answer {
  Symmetric2 fisher;
  Symmetric2 covariance;
};

/// F = sum slope slope^T / variance and its inverse in closed form: with 1/s^2 the information on theta1
/// alone, theta2 = h - theta1 has variance sigma_h^2 + s^2 and covariance -s^2 with theta1.
Answer by_algebra(const std::vector<Observation>& seen) {
  const double on_sum = 1 / seen[0].variance;
  double on_theta1 = 0;
  for (std::size_t n = 1; n < seen.size(); ++n) on_theta1 += 1 / seen[n].variance;
  const double s2 = 1 / on_theta1;
  return {{on_sum + on_theta1, on_sum, on_sum}, {s2, -s2, seen[0].variance + s2}};
}

/// The engine's exact expectation: the whole matrix, and the diagonal of its usual pass.
struct EngineAnswer : Answer {
  std::array<double, 2> diagonal{};
};

struct Engine {
  Network network;
  std::unique_ptr<Dataset> data;
  Likelihood likelihood;
};

/// weight . x with the bias known to be 0.
Engine make_engine(std::array<double, 2> weight, std::vector<float> inputs, Likelihood likelihood) {
  Engine engine{Network(Architecture::parse("mlp:2-1")), make_dataset(std::move(inputs), 2), likelihood};
  for (std::size_t i = 0; i < 2; ++i) engine.network.parameters()[i] = static_cast<float>(weight[i]);
  return engine;
}

EngineAnswer run_engine(const Engine& engine, const Context& context) {
  FullMatrixOptions whole;
  whole.estimator.kind = EstimatorKind::Exact;
  whole.likelihood = engine.likelihood;
  whole.normalization = Normalization::Sum;
  const FisherMatrix matrix = compute_full_fisher(engine.network, *engine.data, whole, context);
  FisherOptions pass;
  pass.estimator = whole.estimator;
  pass.likelihood = whole.likelihood;
  pass.normalization = whole.normalization;
  const FisherDiagonal diagonal = compute_fisher(engine.network, *engine.data, pass, context);
  EngineAnswer answer;
  answer.fisher = {matrix(0, 0), matrix(0, 1), matrix(1, 1)};
  for (std::size_t i = 0; i < 2; ++i) answer.diagonal[i] = static_cast<double>(diagonal.values()[i]);
  return answer;
}

/// Gaussian: theta is the weight of a linear network, an observation with error sigma is the input
/// slope / sigma, and the outputs have unit variance.
EngineAnswer by_engine_gaussian(const ToyOptions& options, const std::vector<Observation>& seen,
                                const Context& context) {
  std::vector<float> inputs;
  for (const Observation& observation : seen)
    for (const double slope : observation.slope)
      inputs.push_back(static_cast<float>(slope / std::sqrt(observation.variance)));
  EngineAnswer answer = run_engine(
      make_engine({options.theta1, options.theta2}, std::move(inputs), Likelihood::Gaussian), context);
  answer.covariance = inverse(answer.fisher);
  return answer;
}

/// Counts: the engine's Poisson rates are exp(w . x), so its parameters are the logarithms of the two means
/// and F_theta = A^T F_log A with A = d log mean / d theta. A prior on theta1 is added to that.
EngineAnswer by_engine_counts(const std::vector<Observation>& seen, const Context& context) {
  EngineAnswer answer = run_engine(
      make_engine({std::log(seen[0].mean), std::log(seen[1].mean)}, {1, 0, 0, 1}, Likelihood::Poisson),
      context);
  const Symmetric2 log = answer.fisher;
  const double ah = 1 / seen[0].mean, ab = 1 / seen[1].mean;  // A = [[ah, ah], [ab, 0]]
  answer.fisher = {ah * ah * log.xx + 2 * ah * ab * log.xy + ab * ab * log.yy,
                   ah * ah * log.xx + ah * ab * log.xy, ah * ah * log.xx};
  for (std::size_t n = 2; n < seen.size(); ++n) answer.fisher.xx += 1 / seen[n].variance;
  answer.covariance = inverse(answer.fisher);
  return answer;
}

/// Mean of score score^T over simulated universes, and the standard error of each element.
struct MonteCarloAnswer : Answer {
  Symmetric2 standard_error;
};

MonteCarloAnswer by_monte_carlo(const ToyOptions& options, const std::vector<Observation>& seen) {
  constexpr std::size_t kDrawsBetweenLooks = 65536;
  std::array<double, 3> mean{}, squares{};  // of the elements, by Welford's updates
  for (std::size_t draw = 0; draw < options.draws; ++draw) {
    if (draw % kDrawsBetweenLooks == 0) throw_if_interrupted();
    RandomStream random(options.seed, random_stream::kMonteCarlo, draw);
    std::array<double, 2> score{};
    for (const Observation& observation : seen) {
      const double excess = observation.count ? draw_poisson_excess(observation.mean, random)
                                              : std::sqrt(observation.variance) * random.next_normal();
      for (std::size_t i = 0; i < 2; ++i) score[i] += observation.slope[i] * excess / observation.variance;
    }
    const std::array<double, 3> element{score[0] * score[0], score[0] * score[1], score[1] * score[1]};
    for (std::size_t e = 0; e < 3; ++e) {
      const double step = element[e] - mean[e];
      mean[e] += step / static_cast<double>(draw + 1);
      squares[e] += step * (element[e] - mean[e]);
    }
  }
  const auto n = static_cast<double>(options.draws);
  const auto error = [&](std::size_t e) { return std::sqrt(squares[e] / (n - 1) / n); };
  MonteCarloAnswer answer;
  answer.fisher = {mean[0], mean[1], mean[2]};
  answer.covariance = inverse(answer.fisher);
  answer.standard_error = {error(0), error(1), error(2)};
  return answer;
}

double correlation(const Symmetric2& covariance) {
  return covariance.xy / std::sqrt(covariance.xx * covariance.yy);
}

/// Largest |a - b| / scale over the three elements.
double largest_difference(const Symmetric2& a, const Symmetric2& b, const Symmetric2& scale) {
  return std::max(
      {std::abs(a.xx - b.xx) / scale.xx, std::abs(a.xy - b.xy) / scale.xy, std::abs(a.yy - b.yy) / scale.yy});
}

/// One experiment, Gaussian or counts, by all three routes.
struct Experiment {
  Answer algebra;
  EngineAnswer engine;
  MonteCarloAnswer monte_carlo;
  double engine_difference = 0;  ///< relative
  double standard_errors = 0;    ///< between Monte Carlo and algebra
  bool agree = false;
};

Experiment run(const ToyOptions& options, bool counts, const Context& context) {
  const std::vector<Observation> seen = observations(options, counts, options.prior);
  Experiment result;
  result.algebra = by_algebra(seen);
  result.engine = counts ? by_engine_counts(seen, context) : by_engine_gaussian(options, seen, context);
  result.monte_carlo = by_monte_carlo(options, seen);
  const Symmetric2& expected = result.algebra.fisher;
  result.engine_difference = largest_difference(result.engine.fisher, expected, expected);
  result.standard_errors =
      largest_difference(result.monte_carlo.fisher, expected, result.monte_carlo.standard_error);
  result.agree =
      result.engine_difference <= kEngineTolerance && result.standard_errors <= kMostStandardErrors;
  return result;
}

Json routes(const ToyOptions& options, const Experiment& experiment) {
  Json json = Json::object();
  json["algebra"] = {{"fisher", to_json(experiment.algebra.fisher)},
                     {"covariance", to_json(experiment.algebra.covariance)}};
  json["engine"] = {{"fisher", to_json(experiment.engine.fisher)},
                    {"covariance", to_json(experiment.engine.covariance)},
                    {"diagonal_of_the_pass", experiment.engine.diagonal},
                    {"largest_relative_difference", experiment.engine_difference},
                    {"tolerance", kEngineTolerance}};
  json["monte_carlo"] = {{"fisher", to_json(experiment.monte_carlo.fisher)},
                         {"standard_error", to_json(experiment.monte_carlo.standard_error)},
                         {"covariance", to_json(experiment.monte_carlo.covariance)},
                         {"draws", options.draws},
                         {"seed", options.seed},
                         {"largest_difference_in_standard_errors", experiment.standard_errors},
                         {"tolerance_in_standard_errors", kMostStandardErrors}};
  return json;
}

/// 68% and 95% ellipses around theta: of the covariance, and of what the diagonal alone would say.
Json ellipses(const ToyOptions& options, const Answer& answer, const Answer& without_prior) {
  const std::array<double, 2> theta{options.theta1, options.theta2};
  const auto of_diagonal = [](const Symmetric2& fisher) {
    return Symmetric2{1 / fisher.xx, 0, 1 / fisher.yy};
  };
  Json json = Json::array();
  const auto add = [&](const char* what, const Symmetric2& covariance) {
    for (const double level : kLevels) {
      Json entry = {{"of", what}, {"level", level}};
      // The chi-square distribution with two degrees of freedom: P(r^2 <= x) = 1 - exp(-x / 2).
      entry.update(to_json(ellipse(theta, covariance, -2 * std::log(1 - level))));
      json.push_back(entry);
    }
  };
  add("covariance", answer.covariance);
  add("diagonal", of_diagonal(answer.fisher));
  if (options.prior) {
    add("covariance_without_prior", without_prior.covariance);
    add("diagonal_without_prior", of_diagonal(without_prior.fisher));
  }
  return json;
}

/// What is said about one matrix: errors of each parameter with the other known (1/sqrt(F_ii)) and unknown.
void describe(Json& json, const Answer& answer) {
  const Symmetric2 &f = answer.fisher, &c = answer.covariance;
  json["fisher"] = to_json(f);
  json["covariance"] = to_json(c);
  json["correlation"] = correlation(c);
  json["correlation_matrix"] = to_json(Symmetric2{1, correlation(c), 1});
  json["conditional_errors"] = {1 / std::sqrt(f.xx), 1 / std::sqrt(f.yy)};
  json["marginal_errors"] = {std::sqrt(c.xx), std::sqrt(c.yy)};
  // Invert, strike the other parameter's row and column, invert again.
  json["marginalized_fisher"] = {1 / c.xx, 1 / c.yy};
  json["precision_overstated_by_diagonal"] = {f.xx * c.xx, f.yy * c.yy};
}

Json to_json(const ToyOptions& options, const Experiment& gaussian, const Experiment& counts,
             const Context& context) {
  const Answer plain = by_algebra(observations(options, false, {}));
  Json json = Json::object();
  json["example"] = "hotdog";
  json["parameters"] = {"theta1", "theta2"};
  json["theta"] = {options.theta1, options.theta2};
  json["sigma_h"] = options.sigma_h;
  json["sigma_b"] = options.sigma_b;
  json["prior"] = options.prior ? Json(*options.prior) : Json(nullptr);
  describe(json, gaussian.algebra);
  json["fisher_without_prior"] = to_json(plain.fisher);
  json["covariance_without_prior"] = to_json(plain.covariance);
  json["correlation_without_prior"] = correlation(plain.covariance);
  json["variance_of_theta2_if_theta1_is_known"] = 1 / gaussian.algebra.fisher.yy;
  json["ellipses"] = ellipses(options, gaussian.algebra, plain);
  json["routes"] = routes(options, gaussian);
  Json& poisson = json["poisson"];
  poisson["means"] = {options.theta1 + options.theta2, options.theta1};
  describe(poisson, counts.algebra);
  poisson["routes"] = routes(options, counts);
  json["agree"] = gaussian.agree && counts.agree;
  json["threads"] = context.threads();
  json["isa"] = isa_name(context.isa());
  json["version"] = version();
  return json;
}

std::string matrix_text(const Symmetric2& m) {
  return "[[" + number(m.xx) + ", " + number(m.xy) + "], [" + number(m.xy) + ", " + number(m.yy) + "]]";
}

std::string to_text(const char* title, const Experiment& experiment) {
  const Symmetric2 &f = experiment.algebra.fisher, &c = experiment.algebra.covariance;
  std::string text = std::string(title) + "\n";
  text += "fisher       " + matrix_text(f) + "\n";
  text += "covariance   " + matrix_text(c) + "\n";
  text += "correlation  " + number(correlation(c)) + "\n\n";
  text += table(
      {{"error of", "the other known", "the other unknown", "the diagonal overstates precision"},
       {"theta1", number(1 / std::sqrt(f.xx)), number(std::sqrt(c.xx)), number(f.xx * c.xx) + " times"},
       {"theta2", number(1 / std::sqrt(f.yy)), number(std::sqrt(c.yy)), number(f.yy * c.yy) + " times"}});
  text += "\n" +
          table({{"route", "F11", "F12", "F22", "from algebra"},
                 {"algebra", number(f.xx), number(f.xy), number(f.yy), ""},
                 {"engine, exact", number(experiment.engine.fisher.xx), number(experiment.engine.fisher.xy),
                  number(experiment.engine.fisher.yy), number(experiment.engine_difference) + " of it"},
                 {"Monte Carlo", number(experiment.monte_carlo.fisher.xx),
                  number(experiment.monte_carlo.fisher.xy), number(experiment.monte_carlo.fisher.yy),
                  number(experiment.standard_errors) + " standard errors"}});
  return text;
}

}  // namespace

int toy_hotdog(const ToyOptions& options) {
  const Context context = make_context(options.common);
  const Experiment gaussian = run(options, false, context), counts = run(options, true, context);
  if (options.common.json)
    print_json(to_json(options, gaussian, counts, context));
  else
    print(to_text("Gaussian errors", gaussian) + "\n" + to_text("Poisson counts", counts) + "\nthe routes " +
          verdict(gaussian.agree && counts.agree ? "agree" : "disagree", gaussian.agree && counts.agree) +
          "\n");
  return gaussian.agree && counts.agree ? kDone : kCheckFailed;
}

}  // namespace fisherdiag::cli
