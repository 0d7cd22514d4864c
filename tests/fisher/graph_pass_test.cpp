#include <cmath>

#include "fisher/graph_cases.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "reference/graph_reference.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

TEST_CASE("every layer with every estimator gives the diagonal of the definition", "[fisher]") {
  for (const GraphCase& c : image_cases()) {
    const Network network = make_network(c.json, 3);
    const Samples samples = make_samples(network, 11, Likelihood::Categorical, 5);
    for (const EstimatorKind kind : kAllKinds) {
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
    for (const GraphCase& c : image_cases()) {
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
  for (const GraphCase& c : image_cases()) {
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
  const GraphCase& c = image_cases().front();
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

TEST_CASE("zeros are left out of convolutions without a change of bits", "[fisher]") {
  // Sensitivities sparse enough at every level: of four positions that are pooled one has one.
  const Network network = make_network(
      graph("[3, 12, 12]",
            std::string(R"({"type": "conv2d", "name": "c1", "out": 32, "kernel": 3, "padding": 1},
          {"type": "relu"}, {"type": "max_pool2d", "kernel": 2}, {"type": "conv2d", "name": "c2", "out": 40, "kernel": 3,
          "padding": 1}, {"type": "relu"}, {"type": "max_pool2d", "kernel": 2},)") +
                kGraphHead),
      3);
  const Samples samples = make_samples(network, 9, Likelihood::Categorical, 5);
  const auto data = reference::to_dataset(samples);
  const Vector expected = reference::fisher_diagonal(reference::make_mlp(network), samples, {},
                                                     Likelihood::Categorical, Normalization::Mean);
  for (Isa isa : available_isas()) {
    CAPTURE(isa_name(isa));
    const Context context(2, isa);
    FisherOptions options;
    const FisherDiagonal skipping = compute_fisher(network, *data, options, context);
    options.skip_zeros = false;
    REQUIRE(skipping.sha256() == compute_fisher(network, *data, options, context).sha256());
    REQUIRE(worst_tensor_error(skipping, expected) <= 1e-5);
  }
}
