#include <cmath>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "reference/graph_reference.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

struct Case {
  std::string name, json;
};

std::string graph(const std::string& input, const std::string& layers) {
  return "{\"input\": " + input + ", \"layers\": [" + layers + "]}";
}

constexpr const char* kHead = R"({"type": "flatten"}, {"type": "linear", "name": "head", "out": 3})";

/// One network for each kind of layer, small enough for the reference.
const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"conv2d", graph("[2, 7, 6]", std::string(R"({"type": "conv2d", "name": "c1", "out": 5, "kernel": 3},
          {"type": "relu"}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": [2, 3], "padding": 1}, {"type": "tanh"},)") +
                                        kHead)},
      {"strides and dilation",
       graph(
           "[3, 9, 8]",
           std::string(R"({"type": "conv2d", "name": "c1", "out": 20, "kernel": 3, "stride": 2, "padding": 1},
          {"type": "gelu"}, {"type": "conv2d", "name": "c2", "out": 17, "kernel": 2, "dilation": 2, "bias": false},
          {"type": "silu"},)") +
               kHead)},
      {"groups",
       graph("[4, 6, 6]", std::string(R"({"type": "conv2d", "name": "c1", "out": 6, "kernel": 3, "groups": 2},
          {"type": "sigmoid"}, {"type": "conv2d", "name": "depthwise", "out": 12, "kernel": 2, "groups": 6},
          {"type": "relu6"},)") +
                              kHead)},
      {"wide groups",
       graph("[32, 4, 4]", std::string(R"({"type": "conv2d", "name": "c1", "out": 32, "kernel": 2,
          "groups": 2, "padding": 1}, {"type": "tanh"}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": 2,
          "groups": 2},)") + kHead)},
      {"transposed",
       graph("[3, 4, 3]", std::string(R"({"type": "conv2d", "name": "c1", "out": 4, "kernel": 1},
          {"type": "conv_transpose2d", "name": "up", "out": 6, "kernel": 3, "stride": 2, "padding": 1,
          "output_padding": 1, "groups": 2}, {"type": "tanh"},)") +
                              kHead)},
      {"conv1d", graph("[2, 20]", std::string(
                                      R"({"type": "conv1d", "name": "c1", "out": 4, "kernel": 5, "stride": 2},
          {"type": "relu"},)") + kHead)},
      {"sequence",
       R"({"sequence": [5, 6], "layers": [{"type": "linear", "name": "a", "out": 7}, {"type": "gelu"},
          {"type": "linear", "name": "b", "out": 4}, {"type": "tanh"}, {"type": "flatten"},
          {"type": "linear", "name": "head", "out": 3}]})"},
      {"tied convolutions",
       graph("[4, 6, 5]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 4, "kernel": 3, "padding": 1},
          {"type": "tanh"}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": 3, "padding": 1, "weight": "c1.weight",
          "bias": "c1.bias"}, {"type": "tanh"},)") +
                 kHead)},
      {"max pooling",
       graph("[3, 9, 8]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 17, "kernel": 3, "padding": 1},
          {"type": "max_pool2d", "kernel": 2}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": 2},
          {"type": "max_pool2d", "kernel": 3, "stride": [1, 2], "padding": 1, "dilation": 1},)") +
                 kHead)},
      {"mean pooling",
       graph("[3, 9, 8]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 5, "kernel": 3, "padding": 1},
          {"type": "avg_pool2d", "kernel": 3, "stride": 2, "padding": 1}, {"type": "tanh"},
          {"type": "avg_pool2d", "kernel": [2, 3], "padding": 1, "count_include_pad": false},
          {"type": "conv2d", "name": "c2", "out": 4, "kernel": 1}, {"type": "adaptive_avg_pool2d", "out": [2, 1]},)") +
                 kHead)},
      {"pooling of signals",
       graph("[2, 23]", std::string(R"({"type": "conv1d", "name": "c1", "out": 4, "kernel": 3},
          {"type": "max_pool1d", "kernel": 3, "dilation": 2, "stride": 1}, {"type": "avg_pool1d", "kernel": 2},
          {"type": "conv1d", "name": "c2", "out": 3, "kernel": 1}, {"type": "adaptive_avg_pool1d", "out": 5},)") +
                            kHead)},
      {"residual blocks",
       graph("[3, 6, 5]",
             std::string(R"({"type": "conv2d", "name": "stem", "out": 4, "kernel": 3, "padding": 1},
          {"type": "relu", "name": "r"}, {"type": "conv2d", "name": "c1", "out": 4, "kernel": 3, "padding": 1},
          {"type": "tanh"}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": 3, "padding": 1},
          {"type": "add", "name": "sum", "from": ["c2", "r"]}, {"type": "dropout", "p": 0.5},
          {"type": "conv2d", "name": "c3", "out": 6, "kernel": 3, "stride": 2, "padding": 1, "from": "sum"},
          {"type": "conv2d", "name": "short", "out": 6, "kernel": 1, "stride": 2, "from": "sum"},
          {"type": "add", "from": ["c3", "short"]}, {"type": "adaptive_avg_pool2d", "out": 1},)") +
                 kHead)},
      {"batch norm",
       graph("[3, 5, 4]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 18, "kernel": 3, "padding": 1},
          {"type": "batch_norm", "name": "bn1"}, {"type": "relu", "name": "r"},
          {"type": "conv2d", "name": "c2", "out": 18, "kernel": 1, "bias": false},
          {"type": "batch_norm", "name": "bn2", "eps": 0.01}, {"type": "add", "from": ["bn2", "r"]},
          {"type": "batch_norm", "name": "bn3", "affine": false}, {"type": "tanh"},
          {"type": "batch_norm", "name": "bn4", "weight": "bn1.weight", "bias": "bn1.bias"},)") +
                 kHead)},
      {"batch norm with what follows it",
       graph("[3, 5, 4]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 18, "kernel": 3, "padding": 1},
          {"type": "batch_norm", "name": "bn1"}, {"type": "relu", "name": "r1"},
          {"type": "conv2d", "name": "c2", "out": 18, "kernel": 3, "padding": 1, "bias": false},
          {"type": "batch_norm", "name": "bn2"}, {"type": "add", "from": ["r1", "bn2"]}, {"type": "relu", "name": "r2"},
          {"type": "conv2d", "name": "c3", "out": 20, "kernel": 3, "stride": 2, "padding": 1},
          {"type": "batch_norm", "name": "bn3"},
          {"type": "conv2d", "name": "short", "out": 20, "kernel": 1, "stride": 2, "from": "r2"},
          {"type": "batch_norm", "name": "bn4"}, {"type": "add", "name": "sum", "from": ["bn3", "bn4"]},
          {"type": "batch_norm", "name": "bn5", "affine": false}, {"type": "add", "name": "twice", "from": ["bn5", "sum"]},
          {"type": "conv2d", "name": "c4", "out": 5, "kernel": 2},)") +
                 kHead)},
      {"group norm", graph("[4, 5, 4]", std::string(R"({"type": "group_norm", "name": "g0", "groups": 2},
          {"type": "conv2d", "name": "c1", "out": 20, "kernel": 3, "padding": 1},
          {"type": "group_norm", "name": "g1", "groups": 5}, {"type": "tanh", "name": "t"},
          {"type": "group_norm", "name": "g2", "groups": 1, "affine": false},
          {"type": "add", "from": ["g2", "t"]},)") +
                                            kHead)},
      {"norms of sequences",
       R"({"sequence": [5, 6], "layers": [{"type": "linear", "name": "a", "out": 8},
          {"type": "batch_norm", "name": "bn"}, {"type": "group_norm", "name": "gn", "groups": 2},
          {"type": "flatten"}, {"type": "linear", "name": "head", "out": 3}]})"},
      {"tied linear layers", graph("[6]", R"({"type": "linear", "name": "a", "out": 6}, {"type": "tanh"},
          {"type": "linear", "name": "b", "out": 6, "weight": "a.weight"}, {"type": "tanh"},
          {"type": "linear", "name": "head", "out": 3})")},
  };
  return all;
}

const std::vector<EstimatorKind> kKinds{EstimatorKind::Empirical,  EstimatorKind::Exact,
                                        EstimatorKind::MonteCarlo, EstimatorKind::Sketch,
                                        EstimatorKind::Predicted,  EstimatorKind::Batched};

Estimator estimator_of(EstimatorKind kind) {
  Estimator estimator{kind};
  estimator.draws = 2;
  estimator.batch_size = 3;
  return estimator;
}

}  // namespace

TEST_CASE("every layer with every estimator gives the diagonal of the definition", "[fisher]") {
  for (const Case& c : cases()) {
    const Network network = make_network(c.json, 3);
    const Samples samples = make_samples(network, 11, Likelihood::Categorical, 5);
    for (const EstimatorKind kind : kKinds) {
      CAPTURE(c.name, estimator_name(kind));
      const Vector expected =
          reference::fisher_diagonal(reference::make_mlp(network), samples, estimator_of(kind),
                                     Likelihood::Categorical, Normalization::Mean);
      // Sensitivities have a relative error of about 1e-6, their squares twice that.
      REQUIRE(worst_tensor_error(compute(network, samples, estimator_of(kind)), expected) <= 1e-5);
    }
  }
}

TEST_CASE("every layer is right at every instruction-set level", "[fisher]") {
  for (Isa isa : available_isas())
    for (const Case& c : cases()) {
      CAPTURE(isa_name(isa), c.name);
      const Network network = make_network(c.json, 4);
      const Samples samples = make_samples(network, 5, Likelihood::Gaussian, 6);
      const Vector expected = reference::fisher_diagonal(reference::make_mlp(network), samples, {},
                                                         Likelihood::Gaussian, Normalization::Sum);
      REQUIRE(
          worst_tensor_error(compute(network, samples, {}, Likelihood::Gaussian, isa, 1, Normalization::Sum),
                             expected) <= 1e-5);
    }
}

TEST_CASE("the reference's gradients of graphs are those of central differences", "[fisher]") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Network network = make_network(c.json, 7, 1);
    reference::Mlp mlp = reference::make_mlp(network);
    const Vector x = make_samples(network, 1, Likelihood::Categorical, 8).input(0);
    const Vector seed{0.7, -0.4, 0.2};
    const Vector gradient = reference::gradient(mlp, x, seed);
    double largest = 0;
    for (const double g : gradient) largest = std::max(largest, std::abs(g));
    const auto dot = [&] {
      const Vector z = reference::forward(mlp, x);
      return seed[0] * z[0] + seed[1] * z[1] + seed[2] * z[2];
    };
    for (std::size_t p = 0; p < gradient.size(); p += 1 + gradient.size() / 40) {
      constexpr double kStep = 1e-5;  // error h^2 and 1e-16 / h: about 1e-10
      const double before = mlp.parameters[p];
      mlp.parameters[p] = before + kStep;
      const double up = dot();
      mlp.parameters[p] = before - kStep;
      const double down = dot();
      mlp.parameters[p] = before;
      REQUIRE(std::abs((up - down) / (2 * kStep) - gradient[p]) <= 1e-6 * largest);
    }
  }
}

TEST_CASE("positions are not samples", "[fisher]") {
  const Network network = make_network(
      R"({"sequence": [5, 4], "layers": [{"type": "linear", "name": "a", "out": 3},
          {"type": "flatten"}, {"type": "linear", "name": "head", "out": 3}]})",
      1);
  const Samples samples = make_samples(network, 6, Likelihood::Categorical, 2);
  const reference::Mlp mlp = reference::make_mlp(network);
  const Vector right =
      reference::fisher_diagonal(mlp, samples, {}, Likelihood::Categorical, Normalization::Sum);
  // The other quantity: each position's gradient squared on its own. Layer a's are outer products.
  Vector wrong(12, 0.0);
  const std::size_t head = 12 + 3;
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const Vector x = samples.input(n);
    const Vector s =
        reference::nll_gradient(Likelihood::Categorical, reference::forward(mlp, x), samples.target(n));
    for (std::size_t t = 0; t < 5; ++t)
      for (std::size_t o = 0; o < 3; ++o) {
        double delta = 0;
        for (std::size_t c = 0; c < 3; ++c) delta += s[c] * mlp.parameters[head + c * 15 + t * 3 + o];
        for (std::size_t i = 0; i < 4; ++i) wrong[o * 4 + i] += std::pow(delta * x[t * 4 + i], 2);
      }
  }
  const Vector all =
      values_of(compute(network, samples, {}, Likelihood::Categorical, default_isa(), 1, Normalization::Sum));
  const Vector computed(all.begin(), all.begin() + 12), expected(right.begin(), right.begin() + 12);
  CHECK(reference::relative_error(computed, expected) <= 1e-5);
  CHECK(reference::relative_error(computed, wrong) >= 0.1);
}

TEST_CASE("a graph's diagonal has the same bits for every number of threads and every memory bound",
          "[fisher]") {
  const Case& c = cases().front();
  const Network network = make_network(c.json, 3);
  const Samples samples = make_samples(network, 1100, Likelihood::Categorical, 5);
  const auto data = reference::to_dataset(samples);
  for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Batched}) {
    CAPTURE(estimator_name(kind));
    std::vector<std::string> digests;
    for (const int threads : {1, 2, 3, 7}) {
      FisherOptions options;
      options.estimator = estimator_of(kind);
      const Context context(threads);
      digests.push_back(compute_fisher(network, *data, options, context).sha256());
      const std::size_t least = pass_chain_rows(network.architecture(), options, context);
      options.max_memory_bytes =
          fisher_memory(network.architecture(), options, samples.size(), least, context);
      digests.push_back(compute_fisher(network, *data, options, context).sha256());
    }
    for (const std::string& digest : digests) CHECK(digest == digests.front());
  }
}

TEST_CASE("what graphs cannot do yet is refused with a sentence", "[fisher]") {
  const Network network = make_network(cases().front().json, 3);
  const auto data = reference::to_dataset(make_samples(network, 20, Likelihood::Categorical, 5));
  FisherOptions options;
  options.until = 0.1;
  CHECK_THROWS_AS(compute_fisher(network, *data, options, Context(1)), UnsupportedError);
  options.until = {};
  options.subset = {SubsetKind::Importance, 10};
  CHECK_THROWS_AS(compute_fisher(network, *data, options, Context(1)), UnsupportedError);
  options.subset = {SubsetKind::Uniform, 10};
  CHECK(compute_fisher(network, *data, options, Context(1)).metadata().samples == 10);
}
