#include "fisherdiag/train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/train/metrics.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "train/blobs.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinRel;
using fisherdiag::test::make_blobs;
using fisherdiag::testing::contains;
using ::test::message_of;

namespace {

Network small_network() {
  return Network::random(Architecture::parse("mlp:4-16-3"), 3);
}

OptimizerOptions sgd(double rate) {
  OptimizerOptions options;
  options.kind = OptimizerKind::Sgd;
  options.learning_rate = rate;
  return options;
}

struct Trained {
  Network network;
  TrainResult result;
};

Trained train_blobs(const TrainOptions& options, const OptimizerOptions& optimizer_options, int threads) {
  const Context context(threads);
  Trained trained{small_network(), {}};
  const auto data = make_blobs(300);
  Optimizer optimizer(optimizer_options, trained.network.parameters().size());
  trained.result = train(trained.network, *data, optimizer, options, context);
  return trained;
}

TrainOptions twenty_epochs() {
  TrainOptions options;
  options.epochs = 20;
  options.batch_size = 32;
  return options;
}

OptimizerOptions fast_adam() {
  OptimizerOptions options;
  options.learning_rate = 0.01;
  return options;
}

double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("training separates well-separated classes") {
  for (const OptimizerOptions& optimizer : {fast_adam(), sgd(0.3)}) {
    CAPTURE(static_cast<int>(optimizer.kind));
    const Trained trained = train_blobs(twenty_epochs(), optimizer, 2);
    // 300 samples in batches of 32: 10 iterations an epoch, the last of 12 samples.
    REQUIRE(trained.result.iterations == 200);
    REQUIRE(trained.result.samples == 6000);
    REQUIRE(trained.result.loss < 0.2);
    const auto unseen = make_blobs(300, 6);
    const Evaluation evaluation = evaluate(trained.network, *unseen, Likelihood::Categorical, Context(1));
    // A plane 7 deviations away from both classes exists; even a poor one is right more often than this.
    REQUIRE(evaluation.accuracy.value() >= 0.99);
  }
}

TEST_CASE("training has the same bits for every number of threads") {
  EwcPenalty penalty(PenaltyForm::Merged, 0.1);
  const Network start = small_network();
  penalty.add_task(start.parameters(), std::vector<float>(start.parameters().size(), 1.0f));
  TrainOptions options = twenty_epochs();
  options.epochs = 3;
  options.penalty = &penalty;
  const Trained expected = train_blobs(options, fast_adam(), 1);
  for (const int threads : {2, 3}) {
    CAPTURE(threads);
    const Trained trained = train_blobs(options, fast_adam(), threads);
    REQUIRE(trained.result.loss == expected.result.loss);
    REQUIRE(std::ranges::equal(trained.network.parameters(), expected.network.parameters()));
  }
}

TEST_CASE("the seed decides the order of samples") {
  TrainOptions options = twenty_epochs();
  options.epochs = 1;
  const Trained first = train_blobs(options, fast_adam(), 1);
  options.seed = 2;
  const Trained second = train_blobs(options, fast_adam(), 1);
  REQUIRE_FALSE(std::ranges::equal(first.network.parameters(), second.network.parameters()));
}

TEST_CASE("an epoch uses every sample once") {
  // One step of gradient descent over the whole data does not depend on its order, but for rounding.
  TrainOptions options;
  options.iterations = 1;
  options.batch_size = 1000;
  const Trained first = train_blobs(options, sgd(0.5), 1);
  options.seed = 2;
  const Trained second = train_blobs(options, sgd(0.5), 1);
  REQUIRE(first.result.samples == 300);
  // Gradients are sums of 300 terms <= 2 divided by 300, of about 90 parameters: 2 * 300 u * sqrt(90)
  // = 3.4e-4 at worst.
  REQUIRE(distance(first.network.parameters(), second.network.parameters()) <= 0.5 * 3.4e-4);
  REQUIRE(distance(first.network.parameters(), small_network().parameters()) > 0.01);
  // nll of one batch in double; logits carry float roundings of at most about 20 u.
  REQUIRE_THAT(first.result.loss, WithinRel(second.result.loss, 20 * 0x1p-24));
}

TEST_CASE("iterations go through the data as often as it takes") {
  TrainOptions options;
  options.iterations = 25;
  options.batch_size = 100;
  const Trained trained = train_blobs(options, fast_adam(), 1);
  REQUIRE(trained.result.iterations == 25);
  REQUIRE(trained.result.samples == 2500);
}

TEST_CASE("the reported loss is the mean over the last epoch") {
  // At a negligible learning rate the network stands still, so the mean over batches is the mean over
  // samples.
  TrainOptions options = twenty_epochs();
  options.epochs = 2;
  const Trained trained = train_blobs(options, sgd(1e-30), 1);
  const auto data = make_blobs(300);
  const Evaluation evaluation = evaluate(small_network(), *data, Likelihood::Categorical, Context(1));
  // The same logits, sums in double: at most a few float roundings of each nll, about 1.
  REQUIRE_THAT(trained.result.loss, WithinRel(evaluation.nll, 20 * 0x1p-24));
}

TEST_CASE("a penalty holds the parameters at the anchor") {
  const Network start = small_network();
  const std::vector<float> ones(start.parameters().size(), 1.0f);
  EwcPenalty penalty(PenaltyForm::Merged, 5.0);
  penalty.add_task(start.parameters(), ones);
  TrainOptions options = twenty_epochs();
  const double free = distance(train_blobs(options, sgd(0.1), 1).network.parameters(), start.parameters());
  options.penalty = &penalty;
  const double held = distance(train_blobs(options, sgd(0.1), 1).network.parameters(), start.parameters());
  // At the minimum |lambda d| = |gradient| <= 2 (one residual vector times inputs and hidden units of about
  // 1).
  REQUIRE(held <= 2.0 / 5.0);
  REQUIRE(held > 0);
  REQUIRE(free > 3 * held);
}

TEST_CASE("progress counts iterations and can stop") {
  TrainOptions options;
  options.iterations = 10;
  std::vector<std::size_t> seen;
  options.progress = [&](const TrainProgress& progress) {
    REQUIRE(progress.iterations == 10);
    REQUIRE(std::isfinite(progress.loss));
    seen.push_back(progress.iteration);
    return progress.iteration < 4;
  };
  REQUIRE_THROWS_AS(train_blobs(options, fast_adam(), 1), InterruptedError);
  REQUIRE(seen == std::vector<std::size_t>{1, 2, 3, 4});
}

TEST_CASE("an optimiser keeps its state between calls") {
  const Context context(1);
  const auto data = make_blobs(300);
  TrainOptions options;
  options.iterations = 3;
  Network network = small_network();
  Optimizer optimizer(fast_adam(), network.parameters().size());
  train(network, *data, optimizer, options, context);
  train(network, *data, optimizer, options, context);
  REQUIRE(optimizer.steps() == 6);
}

TEST_CASE("train refuses what does not fit") {
  const Context context(1);
  const auto data = make_blobs(30);
  Network network = small_network();
  Optimizer optimizer(fast_adam(), network.parameters().size());
  TrainOptions options;
  options.batch_size = 0;
  REQUIRE_THROWS_AS(train(network, *data, optimizer, options, context), ArgumentError);
  options = {};
  options.epochs = 0;
  REQUIRE_THROWS_AS(train(network, *data, optimizer, options, context), ArgumentError);
  options = {};
  Optimizer other(fast_adam(), 3);
  REQUIRE_THROWS_AS(train(network, *data, other, options, context), ArgumentError);
  EwcPenalty penalty(PenaltyForm::Merged, 1.0);
  penalty.add_task(std::vector<float>{1}, std::vector<float>{1});
  options.penalty = &penalty;
  REQUIRE_THROWS_WITH(train(network, *data, optimizer, options, context), contains("penalty"));
  options = {};
  options.likelihood = Likelihood::Gaussian;
  REQUIRE_THROWS_WITH(train(network, *data, optimizer, options, context), contains("target"));
  const auto wide = make_dataset(std::vector<float>(10), 5, std::vector<std::int32_t>(2));
  REQUIRE_THROWS_WITH(train(network, *wide, optimizer, {}, context), contains("features"));
  const auto unlabelled = make_dataset(std::vector<float>(8), 4);
  REQUIRE_THROWS_WITH(train(network, *unlabelled, optimizer, {}, context), contains("labels"));
  REQUIRE(std::ranges::equal(network.parameters(), small_network().parameters()));
}

TEST_CASE("training stops at a label outside the classes and names its sample, whichever batch it is in") {
  TrainOptions options;
  options.batch_size = 8;
  std::vector<int> labels(40, 1);
  labels[33] = 3;
  const auto data = make_dataset(std::vector<float>(160), 4, labels);
  // A graph has an engine of its own.
  const Architecture graph = Architecture::parse(
      R"({"input": [4], "layers": [{"type": "linear", "name": "a", "out": 4}, {"type": "relu"},
          {"type": "linear", "name": "b", "out": 3}]})");
  for (const Architecture& architecture : {Architecture::parse("mlp:4-3"), graph}) {
    Network network = Network::random(architecture, 1);
    Optimizer optimizer(fast_adam(), network.parameters().size());
    const std::string sentence =
        message_of<DataError>([&] { train(network, *data, optimizer, options, Context(1)); });
    CAPTURE(sentence);
    CHECK_THAT(sentence, contains("sample 33"));
  }
}

TEST_CASE("training that diverges is an error") {
  TrainOptions options;
  options.iterations = 50;
  const auto diverging = [&] { train_blobs(options, sgd(1e30), 1); };
  const std::string sentence = message_of<DataError>(diverging);
  CAPTURE(sentence);
  CHECK_THAT(sentence, contains("learning rate 1e+30"));
  CHECK_THAT(sentence, contains("step 2 of 50"));
  CHECK_THAT(sentence, !contains("lambda"));

  EwcPenalty penalty(PenaltyForm::Merged, 1.0);
  const std::size_t size = small_network().parameters().size();
  penalty.add_task(std::vector<float>(size), std::vector<float>(size, 1));
  options.penalty = &penalty;
  CHECK_THAT(message_of<DataError>(diverging), contains("smaller lambda"));
}

TEST_CASE("three tasks: separate penalties and the merged one give the same loss and the same path") {
  const std::size_t size = small_network().parameters().size();
  EwcPenalty separate(PenaltyForm::Separate, 3.0), merged(PenaltyForm::Merged, 3.0);
  for (std::uint64_t task = 0; task < 3; ++task) {
    RandomStream random(task, random_stream::kTest, 2);
    std::vector<float> anchor(size), fisher(size);
    for (std::size_t i = 0; i < size; ++i) {
      anchor[i] = static_cast<float>(random.next_uniform() - 0.5);
      fisher[i] = static_cast<float>(random.next_uniform());
    }
    separate.add_task(anchor, fisher);
    merged.add_task(anchor, fisher);
  }
  REQUIRE(separate.terms() == 3);
  REQUIRE(merged.terms() == 1);
  const Context context(1);
  // Paths of growing length: they agree all along, not only where both have arrived.
  for (const std::size_t iterations : {1, 3, 10, 40}) {
    CAPTURE(iterations);
    TrainOptions options;
    options.iterations = iterations;
    options.batch_size = 32;
    options.penalty = &separate;
    const Trained a = train_blobs(options, sgd(0.05), 1);
    options.penalty = &merged;
    const Trained b = train_blobs(options, sgd(0.05), 1);
    // A gradient (terms up to 3 * 3 * 1, 6 roundings) differs by 54 u; the loss is nearly quadratic with
    // curvature 0 to 9 and 1 - 0.05 * 9 > 0, so a step's difference of 0.05 * 54 u + u does not grow.
    const double u = 0x1p-24, each = static_cast<double>(iterations) * (0.05 * 54 + 1) * u;
    REQUIRE(distance(a.network.parameters(), b.network.parameters()) <=
            2 * each * std::sqrt(static_cast<double>(size)));
    REQUIRE(distance(a.network.parameters(), small_network().parameters()) > 0.01);
    const double value = separate.value(a.network.parameters(), context);
    REQUIRE_THAT(merged.value(a.network.parameters(), context), WithinRel(value, 300 * u));
    REQUIRE_THAT(b.result.loss, WithinRel(a.result.loss, 100 * each));
  }
}
