#include "fisherdiag/train/graph_gradient.hpp"

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/train/batch_gradient.hpp"
#include "fisherdiag/train/metrics.hpp"
#include "fisherdiag/train/trainer.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

/// Matrices at many positions and at one, a shared one, vectors and buffers.
constexpr const char* kNet = R"({"input": [2, 5, 4], "layers": [
    {"type": "conv2d", "name": "stem", "out": 20, "kernel": 3, "padding": 1},
    {"type": "batch_norm", "name": "bn"}, {"type": "relu", "name": "r"},
    {"type": "conv2d", "name": "c1", "out": 20, "kernel": 1},
    {"type": "conv2d", "name": "c2", "out": 20, "kernel": 1, "weight": "c1.weight", "from": "r"},
    {"type": "add", "from": ["c1", "c2"]}, {"type": "tanh"}, {"type": "max_pool2d", "kernel": 2},
    {"type": "flatten"}, {"type": "linear", "name": "head", "out": 4}]})";

struct Batch {
  explicit Batch(std::size_t rows)
      : network(make_network(kNet, 3)), samples(make_samples(network, rows, Likelihood::Categorical, 5)) {
    for (std::size_t n = 0; n < rows; ++n) {
      const Vector x = samples.input(n);
      inputs.insert(inputs.end(), x.begin(), x.end());
      targets.push_back(static_cast<float>(samples.target(n)[0]));
    }
  }
  double gradient(const Context& context, std::span<float> to, std::size_t max_batch) const {
    BatchGradient batch(network.architecture(), Likelihood::Categorical, max_batch, context);
    return batch.compute(network, {inputs.data(), targets.size(), network.architecture().inputs()},
                         {targets.data(), targets.size(), 1}, to);
  }

  Network network;
  Samples samples;
  std::vector<float> inputs, targets;
};

}  // namespace

TEST_CASE("a graph's batch gradient is the mean of the samples' by the reference", "[train]") {
  const Batch batch(27);
  const reference::Mlp mlp = reference::make_mlp(batch.network);
  Vector expected(mlp.parameters.size(), 0.0);
  double nll = 0;
  for (std::size_t n = 0; n < 27; ++n) {
    const Vector x = batch.samples.input(n), z = reference::forward(mlp, x);
    nll += reference::nll(Likelihood::Categorical, z, batch.samples.target(n)) / 27;
    const Vector own = reference::gradient(
        mlp, x, reference::nll_gradient(Likelihood::Categorical, z, batch.samples.target(n)));
    for (std::size_t p = 0; p < own.size(); ++p) expected[p] += own[p] / 27;
  }
  std::vector<float> gradient(expected.size());
  const double loss = batch.gradient(Context(2), gradient, 40);
  // Float sums of 27 x 20 products.
  CHECK(std::abs(loss - nll) <= 1e-5 * nll);
  for (const ParameterTensor& t : batch.network.architecture().parameters()) {
    const Vector own(gradient.begin() + t.offset, gradient.begin() + t.offset + t.size);
    const Vector wanted(expected.begin() + t.offset, expected.begin() + t.offset + t.size);
    CAPTURE(t.name);
    CHECK(reference::relative_error(own, wanted) <= 1e-5);
  }
}

TEST_CASE("a graph's batch gradient has the same bits for every number of threads", "[train]") {
  const Batch batch(45);
  std::vector<float> first(batch.network.parameters().size()), other(first.size());
  const double loss = batch.gradient(Context(1), first, 45);
  for (int threads : {2, 3, 7}) {
    CHECK(batch.gradient(Context(threads), other, 45) == loss);
    CHECK(other == first);
  }
}

TEST_CASE("training a graph learns its samples", "[train]") {
  Batch batch(40);
  const auto data = reference::to_dataset(batch.samples);
  const Context context(2);
  Network network = Network::random(batch.network.architecture(), 1);
  const double before = evaluate(network, *data, Likelihood::Categorical, context).nll;
  OptimizerOptions adam;
  adam.learning_rate = 0.01;
  Optimizer optimizer(adam, network.parameters().size());
  TrainOptions options;
  options.iterations = 150;
  options.batch_size = 20;
  train(network, *data, optimizer, options, context);
  CHECK(evaluate(network, *data, Likelihood::Categorical, context).nll < 0.5 * before);
}

TEST_CASE("a graph restricted to some outputs gives these and keeps its buffers", "[train]") {
  const Batch batch(3);
  const std::vector<std::size_t> outputs{3, 1};
  const Network part = restrict_outputs(batch.network, outputs);
  CHECK(std::ranges::equal(part.buffers(), batch.network.buffers()));
  const Vector x = batch.samples.input(0);
  const Vector all = reference::forward(reference::make_mlp(batch.network), x);
  const Vector some = reference::forward(reference::make_mlp(part), x);
  CHECK(some == Vector{all[3], all[1]});
  std::vector<float> ones(part.parameters().size(), 1.f), spread(batch.network.parameters().size());
  spread_outputs(batch.network.architecture(), outputs, ones, spread);
  const ParameterTensor& weight = batch.network.architecture().parameters()[7];
  REQUIRE(weight.name == "head.weight");
  const std::size_t row = weight.size / 4;
  CHECK(spread[0] == 1);
  CHECK(spread[weight.offset] == 0);
  CHECK(spread[weight.offset + row] == 1);
  CHECK(spread[weight.offset + 2 * row] == 0);
  const Network tied = make_network(R"({"input": [4], "layers": [{"type": "linear", "name": "a", "out": 4},
      {"type": "tanh"}, {"type": "linear", "name": "b", "out": 4, "weight": "a.weight"}]})",
                                    1);
  CHECK_THROWS_AS(restrict_outputs(tied, outputs), UnsupportedError);
}
