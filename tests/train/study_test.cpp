#include "fisherdiag/train/study.hpp"

#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"
#include "train/continual_fixture.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinRel;
using fisherdiag::test::IdxFiles;
using fisherdiag::test::split_stream;
using fisherdiag::test::stream_architecture;
using fisherdiag::testing::contains;

namespace {

StudyPlan plan_of(const std::vector<std::string>& methods, std::vector<double> lambdas, std::size_t seeds) {
  StudyPlan plan;
  for (const std::string& method : methods) plan.methods.push_back(ContinualMethod::parse(method));
  plan.lambdas = std::move(lambdas);
  plan.seeds = seeds;
  return plan;
}

/// As if `request` had been run: accuracies that say which it was.
ContinualResult invented(const ContinualRequest& request, double accuracy) {
  ContinualResult result;
  result.lambda = request.lambda;
  result.accuracy = {{accuracy}};
  result.validation = {1 - accuracy};
  return result;
}

/// Accuracy is best at lambda 10, validation (the reverse) at 1 and 100.
double accuracy_at(const ContinualRequest& request) {
  return 0.8 - 0.1 * std::abs(std::log10(request.lambda) - 1) + 0.01 * static_cast<double>(request.seed);
}

void make_missing(const StudyPlan& plan, StudyRuns& runs) {
  for (const ContinualRequest& request : missing_runs(plan, runs))
    runs[key_of(request)] = invented(request, request.method.has_penalty() ? accuracy_at(request) : 0.5);
}

}  // namespace

TEST_CASE("a plan is every method, lambda and seed, seed by seed") {
  const StudyPlan plan = plan_of({"none", "ewc-online:exact"}, {1, 10}, 2);
  const std::vector<ContinualRequest> runs = missing_runs(plan, {});
  REQUIRE(runs.size() == 6);
  REQUIRE(planned_runs(plan) == 6);
  REQUIRE(runs[0].method.name() == "none");
  REQUIRE(runs[0].seed == 1);
  REQUIRE(runs[2].lambda == 10);
  REQUIRE(runs[3].seed == 2);
}

TEST_CASE("lambdas can be tried with few seeds and the best one run with all") {
  StudyPlan plan = plan_of({"none", "ewc-online:exact"}, {1, 10, 100}, 5);
  plan.lambda_seeds = 2;
  plan.selection = Selection::Test;
  StudyRuns runs;
  REQUIRE(planned_runs(plan) == 5 + 3 * 2 + 3);
  REQUIRE(missing_runs(plan, runs).size() == 5 + 3 * 2);
  make_missing(plan, runs);
  const std::vector<ContinualRequest> rest = missing_runs(plan, runs);
  REQUIRE(rest.size() == 3);
  for (const ContinualRequest& request : rest) REQUIRE(request.lambda == 10);
  make_missing(plan, runs);
  REQUIRE(missing_runs(plan, runs).empty());
  REQUIRE(runs.size() == planned_runs(plan));
  for (const StudySummary& summary : summarize(plan, runs)) {
    CAPTURE(summary.lambda.value_or(-1));
    REQUIRE(summary.selected == (!summary.method.has_penalty() || summary.lambda == 10));
    REQUIRE(summary.seeds == (summary.selected ? 5 : 2));
  }
}

TEST_CASE("the best lambda is chosen on held-out samples unless the test is asked for") {
  StudyPlan plan = plan_of({"ewc-online:exact"}, {1, 10, 100}, 1);
  StudyRuns runs;
  make_missing(plan, runs);
  std::vector<StudySummary> summaries = summarize(plan, runs);
  REQUIRE(summaries[0].selected);  // the smaller of two equals
  REQUIRE_FALSE(summaries[1].selected);
  REQUIRE_FALSE(summaries[2].selected);
  plan.selection = Selection::Test;
  summaries = summarize(plan, runs);
  REQUIRE(summaries[1].selected);
}

TEST_CASE("mean and standard error over seeds") {
  const StudyPlan plan = plan_of({"ewc-online:exact"}, {10}, 3);
  StudyRuns runs;
  make_missing(plan, runs);
  const StudySummary summary = summarize(plan, runs).at(0);
  // 0.81, 0.82, 0.83: deviation 0.01, divided by sqrt(3).
  REQUIRE_THAT(summary.average_accuracy, WithinRel(0.82, 1e-12));
  REQUIRE_THAT(summary.standard_error.value(), WithinRel(0.01 / std::sqrt(3.0), 1e-9));
  REQUIRE_THAT(summary.validation.value(), WithinRel(0.18, 1e-12));
  const StudySummary single = summarize(plan_of({"ewc-online:exact"}, {10}, 1), runs).at(0);
  REQUIRE_FALSE(single.standard_error.has_value());
}

TEST_CASE("a translated lambda is one more, with all seeds") {
  StudyPlan plan = plan_of({"none", "l2"}, {1, 10}, 3);
  plan.lambda_seeds = 1;
  plan.translation = LambdaTranslation::parse("exact:5");
  REQUIRE(planned_runs(plan) == 3 + 2 + 3 + 2);
  StudyRuns runs;
  for (const ContinualRequest& request : missing_runs(plan, runs)) {
    ContinualResult result = invented(request, 0.5);
    if (request.translation) result.lambda = std::pow(10.0, static_cast<double>(request.seed));
    runs[key_of(request)] = result;
  }
  const StudySummary summary = summarize(plan, runs).back();
  REQUIRE(summary.translation == plan.translation->name());
  REQUIRE_THAT(summary.lambda.value(), WithinRel(100.0, 1e-12));  // of 10, 100 and 1000
  REQUIRE_FALSE(summary.selected);
}

TEST_CASE("a plan that says nothing or says it twice is refused") {
  REQUIRE_THROWS_AS(missing_runs(plan_of({}, {}, 1), {}), ArgumentError);
  REQUIRE_THROWS_AS(missing_runs(plan_of({"none"}, {}, 0), {}), ArgumentError);
  REQUIRE_THROWS_WITH(missing_runs(plan_of({"ewc-online", "ewc-online:exact"}, {1}, 1), {}),
                      contains("ewc-online:exact"));
  REQUIRE_THROWS_WITH(missing_runs(plan_of({"l2"}, {}, 1), {}), contains("l2"));
}

TEST_CASE("a study makes the missing runs, keeps finished ones when it is stopped, and continues") {
  const IdxFiles files("study", 120, 4, 1);
  const TaskStream stream = split_stream(files);
  ContinualSettings settings;
  settings.iterations = 20;
  settings.batch_size = 8;
  const StudyPlan plan = plan_of({"none", "ewc-merged:exact"}, {1, 10}, 2);
  StudyRuns whole, parts;
  run_study(stream, stream_architecture(), settings, plan, whole, Context(3), {});
  REQUIRE(whole.size() == 6);

  std::size_t finished = 0;
  StudyCallbacks stopping;
  stopping.finished = [&](const RunKey&, const ContinualResult&) { ++finished; };
  stopping.progress = [&] { return finished < 2; };
  REQUIRE_THROWS_AS(run_study(stream, stream_architecture(), settings, plan, parts, Context(1), stopping),
                    InterruptedError);
  REQUIRE(parts.size() == 2);
  run_study(stream, stream_architecture(), settings, plan, parts, Context(2), {});
  REQUIRE(parts.size() == 6);
  for (const auto& [key, result] : whole) {
    CAPTURE(key.method, key.seed);
    REQUIRE(parts.at(key).accuracy == result.accuracy);
    REQUIRE(parts.at(key).weights_sha256 == result.weights_sha256);
  }
}

TEST_CASE("an error of a run ends the study with that error") {
  const IdxFiles files("error", 120, 4, 1);
  const TaskStream stream = split_stream(files);
  ContinualSettings settings;
  settings.iterations = 5;
  settings.learning_rate = 1e30;
  StudyRuns runs;
  REQUIRE_THROWS_AS(
      run_study(stream, stream_architecture(), settings, plan_of({"none"}, {}, 4), runs, Context(2), {}),
      DataError);
}
