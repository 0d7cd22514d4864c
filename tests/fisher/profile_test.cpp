#include "fisherdiag/fisher/profile.hpp"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/profile_summary.hpp"
#include "fisherdiag/fisher/profile_trace.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr std::size_t kSamples = 3000;
constexpr const char* kModel = "mlp:37-64-18-11:tanh";

FisherDiagonal run(PassProfile* profile, int threads, EstimatorKind kind = EstimatorKind::Exact) {
  const Network network = make_network(kModel, 1);
  const auto data = reference::to_dataset(make_samples(network, kSamples, Likelihood::Categorical, 2));
  FisherOptions options;
  options.estimator = {kind};
  options.profile = profile;
  return compute_fisher(network, *data, options, Context(threads));
}

}  // namespace

TEST_CASE("a profile does not change the result") {
  PassProfile profile(2, true);
  CHECK(run(&profile, 2).sha256() == run(nullptr, 2).sha256());
}

TEST_CASE("every thread's time is somewhere") {
  for (int threads : {1, 2, 3}) {
    PassProfile profile(threads);
    run(&profile, threads);
    const PassProfileSummary summary = summarize(profile, PassProfile::now());
    double sum = summary.waiting_seconds + summary.other_seconds;
    for (const PassProfileLine& line : summary.phases) sum += line.thread_seconds;
    for (const double idle : summary.idle_seconds) {
      CHECK(idle >= 0);
      sum += idle;
    }
    // All terms come from whole nanoseconds of one clock; only the sums of some hundred doubles round.
    CHECK_THAT(sum, Catch::Matchers::WithinRel(threads * summary.wall_seconds, 1e-9));
    CHECK(summary.other_seconds >= 0);
    CHECK((threads == 1) == (summary.waiting_seconds < 1e-12));
  }
}

TEST_CASE("operations are those of the model") {
  PassProfile profile(2);
  run(&profile, 2);
  const Architecture architecture = Architecture::parse(kModel);
  const std::size_t seeds = seeds_per_sample({EstimatorKind::Exact}, Likelihood::Categorical, 11);
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& layer = architecture.layers()[l];
    const double once = 2.0 * static_cast<double>(layer.inputs * layer.outputs * kSamples);
    // Whole numbers below 2^53.
    CHECK(profile.total(PassPhase::Forward, l).flops == once);
    CHECK(profile.total(PassPhase::Accumulate, l).flops == once);
    const double backward = l == 0 ? 0 : once * static_cast<double>(seeds);
    CHECK(profile.total(PassPhase::Backward, l).flops >= backward);
    // At most 7 of the rows of each group are padding, and there are at least 16 rows in all but the last.
    CHECK(profile.total(PassPhase::Backward, l).flops <= 1.5 * backward);
  }
}

TEST_CASE("spans of a track are in order and apart") {
  PassProfile profile(2, true);
  run(&profile, 2);
  for (std::size_t t = 0; t < profile.threads(); ++t) {
    std::int64_t last = profile.origin();
    for (const PassSpan& span : profile.track(t).spans()) {
      CHECK(span.begin >= last);
      CHECK(span.end >= span.begin);
      last = span.end;
    }
  }
  CHECK(!profile.track(0).spans().empty());
}

TEST_CASE("a profile needs a track for each thread") {
  PassProfile profile(1);
  CHECK_THROWS_AS(run(&profile, 2), ArgumentError);
}

TEST_CASE("a full track counts on") {
  PassTrack track(true);
  for (std::size_t n = 0; n < PassTrack::kMostSpans + 5; ++n) track.add({PassPhase::Read, 0, 10, 12}, 0);
  CHECK(track.spans().size() == PassTrack::kMostSpans);
  CHECK(track.dropped() == 5);
  CHECK(track.total(PassPhase::Read).nanoseconds == 2 * static_cast<std::int64_t>(PassTrack::kMostSpans + 5));
}

TEST_CASE("a trace is what the profile recorded") {
  PassProfile profile(2, true);
  run(&profile, 2);
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  write_chrome_trace(path, profile, Architecture::parse(kModel));
  std::ifstream file(path);
  const nlohmann::json trace = nlohmann::json::parse(file);
  std::size_t spans = 0, threads = 0;
  double accumulating = 0;
  for (const auto& event : trace["traceEvents"]) {
    threads += event["name"] == "thread_name";
    if (event["ph"] != "X") continue;
    ++spans;
    if (event["name"].get<std::string>().starts_with("accumulate "))
      accumulating += event["dur"].get<double>();
  }
  CHECK(threads == 2);
  CHECK(spans == profile.track(0).spans().size() + profile.track(1).spans().size());
  // Decimal digits of a double carry 1e-15 each.
  CHECK_THAT(accumulating * 1e3,
             Catch::Matchers::WithinRel(static_cast<double>(profile.total(PassPhase::Accumulate).nanoseconds),
                                        1e-9));
}
