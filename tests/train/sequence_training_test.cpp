// Training and measuring networks with an output at each position of a sequence.
#include <cmath>
#include <vector>

#include "fisher/sequence_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/train/batch_gradient.hpp"
#include "fisherdiag/train/metrics.hpp"
#include "fisherdiag/train/task_stream.hpp"
#include "fisherdiag/train/trainer.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr std::size_t kPositions = 4, kClasses = 5;

const std::string kTied = tied_model(kPositions, kClasses);
const std::string kNumbers = number_model(kPositions, 3, 6, kClasses);

struct Problem {
  std::string json;
  Likelihood likelihood;
  std::size_t ignored;  // one label in so many; 0: none
};
const Problem kProblems[] = {{kTied, Likelihood::Categorical, 0},
                             {kTied, Likelihood::Categorical, 3},
                             {kNumbers, Likelihood::Categorical, 2},
                             {kNumbers, Likelihood::Gaussian, 0},
                             {kNumbers, Likelihood::Poisson, 0}};

Samples samples_of(const Network& network, std::size_t count, Likelihood likelihood, std::size_t ignored) {
  Samples samples = sequences_of(network, count, ignored);
  if (likelihood == Likelihood::Categorical) return samples;
  const Samples values = reference::random_samples(count, 1, kPositions * kClasses, likelihood, 6);
  samples.targets = values.targets;
  samples.target_width = kPositions * kClasses;
  return samples;
}

double batch_gradient(const Network& network, const Samples& samples, Likelihood likelihood,
                      const Context& context, std::span<float> to) {
  BatchGradient batch(network.architecture(), likelihood, samples.size() + 3, context);
  return batch.compute(network, {samples.inputs.data(), samples.size(), samples.features},
                       {samples.targets.data(), samples.size(), samples.target_width}, to);
}

/// Sequences in which each token is followed by 3 token + 1 modulo 5, in [tokens, followers].
Samples ruled_sequences(std::size_t count, std::size_t step = 1) {
  Samples samples;
  samples.features = samples.target_width = kPositions;
  samples.kind = TargetKind::Values;
  for (std::size_t n = 0; n < count; ++n) {
    std::size_t token = n % kClasses;
    for (std::size_t t = 0; t < kPositions; ++t) {
      samples.inputs.push_back(static_cast<float>(token));
      token = (3 * token + step) % kClasses;
      samples.targets.push_back(static_cast<float>(token));
    }
  }
  return samples;
}

TrainResult train_on(Network& network, const Samples& samples, std::size_t iterations,
                     const Context& context) {
  OptimizerOptions adam;
  adam.learning_rate = 0.01;
  Optimizer optimizer(adam, network.parameters().size());
  TrainOptions options;
  options.iterations = iterations;
  options.batch_size = 10;
  return train(network, *reference::to_dataset(samples), optimizer, options, context);
}

}  // namespace

TEST_CASE("a sequence's batch gradient is that of the mean over sequences of their nll", "[train]") {
  for (const auto& [json, likelihood, ignored] : kProblems) {
    CAPTURE(json, likelihood_name(likelihood), ignored);
    const Network network = make_network(json, 3, 1.5F);
    const Samples samples = samples_of(network, 23, likelihood, ignored);
    const reference::SequenceLoss expected =
        reference::sequence_loss(reference::make_mlp(network), samples, kPositions, likelihood);
    std::vector<float> gradient(expected.gradient.size());
    const double loss = batch_gradient(network, samples, likelihood, Context(2), gradient);
    // Float sums of 23 x 4 products.
    REQUIRE(std::abs(loss - expected.nll) <= 1e-5 * expected.nll);
    for (const ParameterTensor& t : network.architecture().parameters()) {
      const Vector own(gradient.begin() + t.offset, gradient.begin() + t.offset + t.size);
      const Vector wanted(expected.gradient.begin() + t.offset,
                          expected.gradient.begin() + t.offset + t.size);
      CAPTURE(t.name);
      REQUIRE(reference::relative_error(own, wanted) <= 1e-5);
    }
  }
}

TEST_CASE("the reference's gradient of a sequence's nll is that of central differences", "[train]") {
  for (const auto& [json, likelihood, ignored] : kProblems) {
    CAPTURE(json, likelihood_name(likelihood), ignored);
    const Network network = make_network(json, 3, 1.5F);
    const Samples samples = samples_of(network, 3, likelihood, ignored);
    reference::Mlp mlp = reference::make_mlp(network);
    const Vector gradient = reference::sequence_loss(mlp, samples, kPositions, likelihood).gradient;
    double largest = 0;
    for (const double g : gradient) largest = std::max(largest, std::abs(g));
    for (std::size_t p = 0; p < gradient.size(); p += 1 + gradient.size() / 40) {
      constexpr double kStep = 1e-5;  // error h^2 and 1e-16 / h: about 1e-10
      const double before = mlp.parameters[p];
      mlp.parameters[p] = before + kStep;
      const double up = reference::sequence_loss(mlp, samples, kPositions, likelihood).nll;
      mlp.parameters[p] = before - kStep;
      const double down = reference::sequence_loss(mlp, samples, kPositions, likelihood).nll;
      mlp.parameters[p] = before;
      REQUIRE(std::abs((up - down) / (2 * kStep) - gradient[p]) <= 1e-6 * largest);
    }
  }
}

TEST_CASE("a sequence's batch gradient has the same bits for every number of threads", "[train]") {
  const Network network = make_network(kTied, 3);
  const Samples samples = samples_of(network, 45, Likelihood::Categorical, 3);
  std::vector<float> first(network.parameters().size()), other(first.size());
  const double loss = batch_gradient(network, samples, Likelihood::Categorical, Context(1), first);
  for (const int threads : {2, 3, 7}) {
    REQUIRE(batch_gradient(network, samples, Likelihood::Categorical, Context(threads), other) == loss);
    REQUIRE(other == first);
  }
}

TEST_CASE("evaluate counts the labels of positions and averages the nll of sequences", "[train]") {
  for (const auto& [json, likelihood, ignored] : kProblems) {
    CAPTURE(json, likelihood_name(likelihood), ignored);
    const Network network = make_network(json, 4);
    const Samples samples = samples_of(network, 530, likelihood, ignored);  // more than a block
    const reference::SequenceLoss expected =
        reference::sequence_loss(reference::make_mlp(network), samples, kPositions, likelihood);
    const auto data = reference::to_dataset(samples);
    const Evaluation found = evaluate(network, *data, likelihood, Context(2));
    REQUIRE(std::abs(found.nll - expected.nll) <= 1e-5 * expected.nll);  // float logits
    REQUIRE(found.samples == 530);
    REQUIRE(found.targets == expected.counted);
    REQUIRE((ignored == 0) == (found.targets == 530 * kPositions));
    REQUIRE(std::abs(found.nll_per_target() * static_cast<double>(found.targets) / 530 - found.nll) <= 1e-12);
    REQUIRE(found.accuracy.has_value() == (likelihood == Likelihood::Categorical));
    if (found.accuracy)
      REQUIRE(*found.accuracy ==
              static_cast<double>(expected.correct) / static_cast<double>(expected.counted));
  }
}

TEST_CASE("training learns which token comes next", "[train]") {
  const Context context(2);
  const Samples samples = ruled_sequences(40);
  const auto data = reference::to_dataset(samples);
  Network network = Network::random(Architecture::parse(kTied), 1);
  const double before = evaluate(network, *data, Likelihood::Categorical, context).nll;
  const TrainResult result = train_on(network, samples, 200, context);
  const Evaluation after = evaluate(network, *data, Likelihood::Categorical, context);
  // The rule has no exception: all of the nll can go.
  CHECK(after.nll < 0.1 * before);
  CHECK(result.loss < 0.2 * before);
  CHECK(after.accuracy == 1.0);
}

TEST_CASE("a penalty with the Fisher diagonal of sequences keeps what was learned", "[train]") {
  const Context context(1);
  // The rules contradict each other at every token.
  const Samples first = ruled_sequences(40), second = ruled_sequences(40, 2);
  const auto first_data = reference::to_dataset(first);
  Network anchor = Network::random(Architecture::parse(kTied), 1);
  train_on(anchor, first, 200, context);
  FisherOptions fisher;
  fisher.estimator.kind = EstimatorKind::Exact;
  const FisherDiagonal diagonal = compute_fisher(anchor, *first_data, fisher, context);
  EwcPenalty penalty(PenaltyForm::Online, 1e6);
  penalty.add_task(anchor.parameters(), diagonal.values());
  const auto accuracy_after = [&](const EwcPenalty* held) {
    Network network(anchor.architecture());
    std::ranges::copy(anchor.parameters(), network.parameters().begin());
    OptimizerOptions adam;
    adam.learning_rate = 0.01;
    Optimizer optimizer(adam, network.parameters().size());
    TrainOptions options;
    options.iterations = 100;
    options.batch_size = 10;
    options.penalty = held;
    train(network, *reference::to_dataset(second), optimizer, options, context);
    return *evaluate(network, *first_data, Likelihood::Categorical, context).accuracy;
  };
  CHECK(accuracy_after(nullptr) < 0.3);
  CHECK(accuracy_after(&penalty) > 0.7);
}

TEST_CASE("training sequences refuses what does not fit with one sentence", "[train]") {
  const Context context(1);
  Network network = Network::random(Architecture::parse(kTied), 1);
  Samples samples = ruled_sequences(20);
  const auto message = [&](const Samples& bad) {
    return message_of<Error>([&] { train_on(network, bad, 5, context); });
  };
  Samples bad = samples;
  bad.targets[13 * kPositions + 2] = 5;
  CHECK(message(bad).find("is 5, which is not a class") != std::string::npos);
  std::ranges::fill(bad.targets, -100.f);
  CHECK(message(bad).find("all labels are -100") != std::string::npos);
  CHECK(message_of<DataError>([&] {
          evaluate(network, *reference::to_dataset(bad), Likelihood::Categorical, context);
        }).find("all labels are -100") != std::string::npos);
  bad.targets.resize(20);
  bad.target_width = 1;
  CHECK(message(bad).find("a class label for each of the network's 4 positions") != std::string::npos);
  const OutputHeads heads({{0, 1, 2}, {3, 4}}, kClasses);
  CHECK(message_of<UnsupportedError>([&] {
          BatchGradient(network.architecture(), Likelihood::Categorical, 5, context, heads);
        }).find("one output per sample, not one at each of 4 positions") != std::string::npos);
  StreamOptions split = parse_stream("split-fashion-mnist");
  CHECK(message_of<UnsupportedError>([&] {
          TaskStream(split, network.architecture());
        }).find("split by its classes") != std::string::npos);
}
