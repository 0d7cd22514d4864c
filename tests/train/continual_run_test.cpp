#include "fisherdiag/train/continual_run.hpp"

#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "train/continual_fixture.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinRel;
using fisherdiag::test::IdxFiles;
using fisherdiag::test::split_stream;
using fisherdiag::test::stream_architecture;
using ::test::contains;
using ::test::message_of;

namespace {

ContinualSettings short_settings() {
  ContinualSettings settings;
  settings.iterations = 60;
  settings.batch_size = 16;
  settings.learning_rate = 0.02;
  return settings;
}

ContinualResult run(const TaskStream& stream, const std::string& method, double lambda,
                    const ContinualSettings& settings = short_settings(), int threads = 1,
                    std::uint64_t seed = 1) {
  const ContinualRequest request{ContinualMethod::parse(method), lambda, std::nullopt, seed};
  return run_continual(stream, stream_architecture(), settings, request, Context(threads));
}

/// Permuted features over shared outputs: what is learned second contradicts what was learned first.
TaskStream contradicting_stream(const IdxFiles& a, const IdxFiles& b) {
  StreamOptions options;
  options.kind = StreamKind::Pair;
  options.tasks = 2;
  options.sources = {a.source(), b.source()};
  return {options, stream_architecture()};
}

}  // namespace

TEST_CASE("average accuracy and forgetting of a matrix of accuracies") {
  ContinualResult result;
  result.accuracy = {{0.9, 0.5, 0.4}, {0.95, 0.8, 0.5}, {0.7, 0.6, 0.9}};
  REQUIRE_THAT(result.average_accuracy(), WithinRel((0.7 + 0.6 + 0.9) / 3, 1e-12));
  // Task 0 was at 0.95 at best, task 1 at 0.8; what task 1 was before it was learned does not count.
  REQUIRE_THAT(result.forgetting(), WithinRel(((0.95 - 0.7) + (0.8 - 0.6)) / 2, 1e-12));
  result.accuracy = {{0.9}};
  REQUIRE(result.forgetting() == 0);
}

TEST_CASE("a run whose Fisher diagonal would be exact over very many outputs learns nothing first",
          "[train]") {
  const IdxFiles a("a", 40, 4, 1), b("b", 40, 4, 2);
  const TaskStream stream = contradicting_stream(a, b);
  const auto refused = [&](const ContinualRequest& request) {
    int steps = 0;
    const std::string sentence = message_of<ArgumentError>([&] {
      run_continual(stream, Architecture::parse("mlp:6-5000"), short_settings(), request, Context(1),
                    [&steps] { return ++steps > 0; });
    });
    CHECK(steps == 0);
    return sentence;
  };
  const std::string method = refused({ContinualMethod::parse("ewc-online:exact"), 1, std::nullopt, 1});
  CAPTURE(method);
  CHECK(contains(method, "method ewc-online:exact"));
  CHECK(contains(method, "sketch"));
  CHECK_FALSE(contains(method, "force"));
  const std::string lambda =
      refused({ContinualMethod::parse("ewc-online:sketch"), 0, LambdaTranslation::parse("exact:5"), 1});
  CAPTURE(lambda);
  CHECK(contains(lambda, "lambda exact:5"));
}

TEST_CASE("a run measures every task after every task, and the held-out samples at the end") {
  const IdxFiles files("run", 240, 4, 1);
  const TaskStream stream = split_stream(files, 0.2);
  const ContinualResult result = run(stream, "ewc-online:exact", 10);
  REQUIRE(result.accuracy.size() == 2);
  REQUIRE(result.accuracy[0].size() == 2);
  REQUIRE(result.validation.size() == 2);
  REQUIRE(result.traces.size() == 1);  // none after the last task
  REQUIRE(result.traces[0] > 0);
  REQUIRE(result.lambda == 10);
  REQUIRE(result.seconds_training > 0);
  REQUIRE(result.seconds_fisher > 0);
  // One bright feature tells the classes apart.
  REQUIRE(result.accuracy[0][0] > 0.95);
  REQUIRE(run(stream, "none", 0).traces.empty());
}

TEST_CASE("a run has the same result for every number of threads, and another for another seed") {
  const IdxFiles files("threads", 240, 4, 1);
  const TaskStream stream = split_stream(files);
  for (const std::string method : {"none", "joint", "ewc-online:mc=2@50", "ewc-separate:sketch"}) {
    const ContinualResult one = run(stream, method, 10);
    for (const int threads : {2, 3}) {
      CAPTURE(method, threads);
      const ContinualResult several = run(stream, method, 10, short_settings(), threads);
      REQUIRE(several.weights_sha256 == one.weights_sha256);
      REQUIRE(several.accuracy == one.accuracy);
      REQUIRE(several.traces == one.traces);
    }
    REQUIRE(run(stream, method, 10, short_settings(), 1, 2).weights_sha256 != one.weights_sha256);
  }
}

TEST_CASE("without strength every method is none") {
  const IdxFiles files("zero", 120, 4, 1);
  const TaskStream stream = split_stream(files);
  const std::string none = run(stream, "none", 0).weights_sha256;
  for (const std::string method :
       {"l2", "ewc-separate:exact", "ewc-merged:empirical", "ewc-online:batched=8"}) {
    CAPTURE(method);
    REQUIRE(run(stream, method, 0).weights_sha256 == none);
    REQUIRE(run(stream, method, 1).weights_sha256 != none);
  }
  REQUIRE(run(stream, "joint", 0).weights_sha256 != none);
}

TEST_CASE("after one task the forms of the penalty are the same") {
  const IdxFiles files("forms", 120, 4, 1);
  const TaskStream stream = split_stream(files);
  const std::string online = run(stream, "ewc-online:exact", 5).weights_sha256;
  REQUIRE(run(stream, "ewc-merged:exact", 5).weights_sha256 == online);
  REQUIRE(run(stream, "ewc-separate:exact", 5).weights_sha256 == online);
  REQUIRE(run(stream, "ewc-online:exact@40", 5).weights_sha256 != online);
  REQUIRE(run(stream, "ewc-online:empirical", 5).weights_sha256 != online);
}

TEST_CASE("EWC keeps more of the first task than nothing does, and joint training keeps all of it") {
  const IdxFiles a("a", 240, 4, 1), b("b", 240, 4, 2, 1);
  const TaskStream stream = contradicting_stream(a, b);
  ContinualSettings settings = short_settings();
  settings.iterations = 200;
  const ContinualResult none = run(stream, "none", 0, settings),
                        ewc = run(stream, "ewc-online:exact", 1e5, settings);
  // The bright feature of class c in task b is that of class c + 1 in task a: what is learned last wins.
  REQUIRE(none.accuracy[0][0] > 0.95);
  REQUIRE(none.accuracy[1][1] > 0.95);
  REQUIRE(none.forgetting() > 0.5);
  REQUIRE(ewc.forgetting() < 0.1);
}

TEST_CASE("the optimiser's state is kept between tasks or begun anew") {
  const IdxFiles files("state", 120, 4, 1);
  const TaskStream stream = split_stream(files);
  ContinualSettings settings = short_settings();
  const std::string kept = run(stream, "none", 0, settings).weights_sha256;
  settings.reset_optimizer = true;
  REQUIRE(run(stream, "none", 0, settings).weights_sha256 != kept);
}

TEST_CASE("a translated lambda has the ratio of the traces, and its own for the reference") {
  const IdxFiles files("translated", 240, 4, 1);
  const TaskStream stream = split_stream(files);
  const LambdaTranslation translation = LambdaTranslation::parse("exact:100");
  const auto translated = [&](const std::string& method) {
    const ContinualRequest request{ContinualMethod::parse(method), 0, translation, 1};
    return run_continual(stream, stream_architecture(), short_settings(), request, Context(1));
  };
  const ContinualResult exact = translated("ewc-online:exact"),
                        empirical = translated("ewc-online:empirical");
  REQUIRE(exact.lambda == 100);
  REQUIRE(exact.weights_sha256 == run(stream, "ewc-online:exact", 100).weights_sha256);
  REQUIRE_THAT(empirical.lambda, WithinRel(100 * exact.traces[0] / empirical.traces[0], 1e-12));
  // The penalty of l2 has one for every parameter.
  const double parameters = static_cast<double>(stream_architecture().parameter_count());
  REQUIRE_THAT(translated("l2").lambda, WithinRel(100 * exact.traces[0] / parameters, 1e-12));
}

TEST_CASE("a run can be stopped") {
  const IdxFiles files("stopped", 120, 4, 1);
  const TaskStream stream = split_stream(files);
  std::size_t steps = 0;
  const ContinualRequest request{ContinualMethod::parse("none"), 0, std::nullopt, 1};
  REQUIRE_THROWS_AS(run_continual(stream, stream_architecture(), short_settings(), request, Context(1),
                                  [&] { return ++steps < 70; }),
                    InterruptedError);
  REQUIRE(steps == 70);  // in the second task
}
