// The pass against the float64 batch-of-one reference. Tolerances, normwise per tensor: a float32 gradient of
// these sizes is good to about 1e-6 (softmax 2e-6 of p, dot products of at most 37 terms), squaring doubles
// that: 1e-5.
#include "fisherdiag/fisher/compute.hpp"

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr double kTolerance = 1e-5;

const std::vector<Likelihood> kLikelihoods{Likelihood::Categorical, Likelihood::Gaussian,
                                           Likelihood::Bernoulli, Likelihood::Poisson};
const std::vector<Estimator> kEstimators{
    {EstimatorKind::Empirical},      {EstimatorKind::Exact},     {EstimatorKind::MonteCarlo, 3, 101},
    {EstimatorKind::Sketch, 3, 102}, {EstimatorKind::Predicted}, {EstimatorKind::Batched, 1, 1, 16}};

bool has_meaning(const Estimator& estimator, Likelihood likelihood) {
  return estimator.kind != EstimatorKind::Predicted || likelihood != Likelihood::Gaussian;
}

std::string describe(const Estimator& estimator, Likelihood likelihood) {
  return std::string(estimator_name(estimator.kind)) + " " + std::string(likelihood_name(likelihood));
}

/// Every estimator and likelihood at every level against the reference, with `count` samples.
void check_against_reference(const std::string& architecture, std::size_t count) {
  const Network network = make_network(architecture, 7);
  const reference::Mlp mlp = reference::make_mlp(network);
  for (Likelihood likelihood : kLikelihoods) {
    const Samples samples = make_samples(network, count, likelihood, 8);
    for (const Estimator& estimator : kEstimators) {
      if (!has_meaning(estimator, likelihood)) continue;
      const Vector expected =
          reference::fisher_diagonal(mlp, samples, estimator, likelihood, Normalization::Mean);
      for (Isa isa : available_isas()) {
        INFO(architecture << " " << describe(estimator, likelihood) << " " << std::string(isa_name(isa)));
        CHECK(worst_tensor_error(compute(network, samples, estimator, likelihood, isa), expected) <=
              kTolerance);
      }
    }
  }
}

}  // namespace

TEST_CASE("one layer equals the reference") {
  check_against_reference("mlp:5-3", 77);
}

TEST_CASE("one hidden layer equals the reference") {
  for (const char* activation : {"relu", "tanh", "sigmoid"})
    check_against_reference("mlp:20-17-9:" + std::string(activation), 77);
}

TEST_CASE("two hidden layers equal the reference") {
  for (const char* activation : {"relu", "tanh", "sigmoid"})
    check_against_reference("mlp:37-33-18-11:" + std::string(activation), 77);
}

TEST_CASE("more samples than one float chain holds equal the reference") {
  check_against_reference("mlp:20-17-9:tanh", 600);
}

TEST_CASE("many small sizes: layers narrower and wider than a vector, few samples") {
  for (const char* architecture : {"mlp:1-2", "mlp:1-1-2:tanh", "mlp:16-16-16:tanh", "mlp:17-15-2:relu",
                                   "mlp:3-64-2:tanh", "mlp:33-2-31:tanh"}) {
    const Network network = make_network(architecture, 11, 1);
    const reference::Mlp mlp = reference::make_mlp(network);
    for (std::size_t count : {1u, 2u, 16u, 17u}) {
      const Samples samples = make_samples(network, count, Likelihood::Categorical, 12);
      for (const Estimator& estimator : kEstimators) {
        INFO(architecture << " " << describe(estimator, Likelihood::Categorical) << " samples " << count);
        const Vector expected =
            reference::fisher_diagonal(mlp, samples, estimator, Likelihood::Categorical, Normalization::Mean);
        for (Isa isa : available_isas())
          CHECK(reference::relative_error(
                    values_of(compute(network, samples, estimator, Likelihood::Categorical, isa)),
                    expected) <= kTolerance);
      }
    }
  }
}

TEST_CASE("batches of every size, also larger than a float chain and than the data, equal the reference") {
  const Network network = make_network("mlp:9-17-5:tanh", 13);
  const reference::Mlp mlp = reference::make_mlp(network);
  for (std::size_t count : {77u, 700u}) {
    const Samples samples = make_samples(network, count, Likelihood::Categorical, 14);
    for (std::size_t batch : {1u, 3u, 7u, 8u, 13u, 64u, 76u, 77u, 78u, 200u, 600u, 1000u}) {
      const Estimator estimator{EstimatorKind::Batched, 1, 1, batch};
      const Vector expected =
          reference::fisher_diagonal(mlp, samples, estimator, Likelihood::Categorical, Normalization::Mean);
      for (Isa isa : available_isas()) {
        INFO("batch " << batch << " of " << count << " " << std::string(isa_name(isa)));
        const FisherDiagonal one = compute(network, samples, estimator, Likelihood::Categorical, isa, 1);
        CHECK(worst_tensor_error(one, expected) <= kTolerance);
        CHECK(compute(network, samples, estimator, Likelihood::Categorical, isa, 3).sha256() == one.sha256());
      }
    }
  }
}

TEST_CASE("many classes and many draws, in whatever groups they are back-propagated, equal the reference") {
  for (const char* architecture : {"mlp:6-9-70:tanh", "mlp:6-9-4:relu", "mlp:6-19:tanh"}) {
    const Network network = make_network(architecture, 15);
    const reference::Mlp mlp = reference::make_mlp(network);
    const Samples samples = make_samples(network, 83, Likelihood::Categorical, 16);
    std::vector<Estimator> estimators{{EstimatorKind::Exact}, {EstimatorKind::Empirical}};
    for (std::size_t draws : {1u, 2u, 7u, 8u, 9u, 33u, 100u})
      estimators.push_back({EstimatorKind::Sketch, draws, 4});
    for (const Estimator& estimator : estimators) {
      const Vector expected =
          reference::fisher_diagonal(mlp, samples, estimator, Likelihood::Categorical, Normalization::Mean);
      for (Isa isa : available_isas()) {
        INFO(architecture << " " << describe(estimator, Likelihood::Categorical) << " draws "
                          << estimator.draws << " " << std::string(isa_name(isa)));
        const FisherDiagonal one = compute(network, samples, estimator, Likelihood::Categorical, isa, 1);
        CHECK(worst_tensor_error(one, expected) <= kTolerance);
        CHECK(compute(network, samples, estimator, Likelihood::Categorical, isa, 3).sha256() == one.sha256());
      }
    }
  }
}

TEST_CASE(
    "exact is the expectation over the labels of the empirical diagonal, and the full matrix's diagonal") {
  const Network network = make_network("mlp:4-6-3:tanh", 21, 3);
  const reference::Mlp mlp = reference::make_mlp(network);
  Samples samples = make_samples(network, 9, Likelihood::Categorical, 22);
  const FisherDiagonal exact = compute(network, samples, {EstimatorKind::Exact});
  const std::size_t parameters = mlp.parameters.size();

  const Vector full = reference::full_fisher(mlp, samples, Likelihood::Categorical);
  Vector diagonal(parameters);
  for (std::size_t i = 0; i < parameters; ++i) diagonal[i] = full[i * parameters + i];
  CHECK(worst_tensor_error(exact, diagonal) <= kTolerance);

  // One sample at a time through the library itself, its label set to each class and weighted by p.
  Vector expectation(parameters, 0.0);
  for (std::size_t n = 0; n < samples.size(); ++n) {
    Samples one = samples;
    one.inputs.assign(samples.inputs.begin() + 4 * n, samples.inputs.begin() + 4 * (n + 1));
    const Vector p = reference::softmax(reference::forward(mlp, samples.input(n)));
    for (std::size_t c = 0; c < 3; ++c) {
      one.targets = {static_cast<float>(c)};
      const Vector at_label = values_of(compute(network, one, {EstimatorKind::Empirical}));
      for (std::size_t i = 0; i < parameters; ++i)
        expectation[i] += p[c] * at_label[i] / static_cast<double>(samples.size());
    }
  }
  CHECK(worst_tensor_error(exact, expectation) <= kTolerance);
}

TEST_CASE("linear regression: the exact diagonal is mean x^2 whatever the targets") {
  const Network network = make_network("mlp:3-2", 31);
  const Samples samples = make_samples(network, 50, Likelihood::Gaussian, 32);
  const Vector fisher = values_of(compute(network, samples, {EstimatorKind::Exact}, Likelihood::Gaussian));
  for (std::size_t i = 0; i < 3; ++i) {
    double mean_square = 0;
    for (std::size_t n = 0; n < 50; ++n) mean_square += std::pow(samples.input(n)[i], 2) / 50;
    // 50 products and sums in float: 51 * 6e-8, and one rounding of the result.
    for (std::size_t o = 0; o < 2; ++o)
      CHECK_THAT(fisher[o * 3 + i], Catch::Matchers::WithinRel(mean_square, 3.2e-6));
  }
  CHECK_THAT(fisher[6], Catch::Matchers::WithinRel(1.0, 1e-7));
  CHECK_THAT(fisher[7], Catch::Matchers::WithinRel(1.0, 1e-7));
}

TEST_CASE("sum is mean times the number of samples, for batched times the number of batches") {
  const Network network = make_network("mlp:6-5-4:tanh", 41);
  const Samples samples = make_samples(network, 77, Likelihood::Categorical, 42);
  for (const Estimator& estimator : kEstimators) {
    INFO(describe(estimator, Likelihood::Categorical));
    const double terms = estimator.kind == EstimatorKind::Batched ? 5 : 77;  // ceil(77 / 16)
    const Vector mean = values_of(compute(network, samples, estimator));
    const Vector sum = values_of(
        compute(network, samples, estimator, Likelihood::Categorical, default_isa(), 1, Normalization::Sum));
    // The same double, scaled and rounded to float once on each side.
    for (std::size_t i = 0; i < mean.size(); ++i)
      CHECK(std::abs(sum[i] - terms * mean[i]) <= 1.3e-7 * sum[i]);
  }
}

TEST_CASE("a dataset taken twice has the same mean") {
  const Network network = make_network("mlp:6-5-4:relu", 51);
  Samples samples = make_samples(network, 40, Likelihood::Categorical, 52);
  const Vector once = values_of(compute(network, samples, {EstimatorKind::Exact}));
  samples.inputs.insert(samples.inputs.end(), samples.inputs.begin(), samples.inputs.end());
  samples.targets.insert(samples.targets.end(), samples.targets.begin(), samples.targets.end());
  // 80 instead of 40 terms in the chain: 120 * 6e-8 at worst.
  CHECK(reference::relative_error(values_of(compute(network, samples, {EstimatorKind::Exact})), once) <=
        8e-6);
}

TEST_CASE("a confident sample's contribution survives in float") {
  // Two inputs through a fixed layer: logits (27.6, 0, 0), so the other classes have p = 1e-12 and F about
  // 1e-24.
  Network network{Architecture::parse("mlp:1-3")};
  network.parameters()[0] = 27.6f;
  Samples samples = make_samples(network, 1, Likelihood::Categorical, 1);
  samples.inputs = {1.0f};
  samples.targets = {0};
  const Vector expected = reference::fisher_diagonal(reference::make_mlp(network), samples, {},
                                                     Likelihood::Categorical, Normalization::Mean);
  REQUIRE(expected[0] > 1e-25);
  CHECK(reference::relative_error(values_of(compute(network, samples, {})), expected) <= kTolerance);
}

TEST_CASE("the result says what it is") {
  const Network network = make_network("mlp:6-5-4:tanh", 61);
  const Samples samples = make_samples(network, 33, Likelihood::Categorical, 62);
  const auto data = reference::to_dataset(samples);
  FisherOptions options;
  options.estimator = {EstimatorKind::MonteCarlo, 2, 99};
  options.normalization = Normalization::Sum;
  FisherStatistics statistics;
  const Context context(2);
  const FisherDiagonal fisher = compute_fisher(network, *data, options, context, &statistics);
  CHECK(fisher.metadata().samples == 33);
  CHECK(fisher.metadata().estimator.kind == EstimatorKind::MonteCarlo);
  CHECK(fisher.metadata().estimator.draws == 2);
  CHECK(fisher.metadata().estimator.seed == 99);
  CHECK(fisher.metadata().normalization == Normalization::Sum);
  CHECK(fisher.metadata().likelihood == Likelihood::Categorical);
  CHECK(fisher.metadata().weights_sha256 == network.sha256());
  CHECK(fisher.metadata().isa == isa_name(context.isa()));
  CHECK(fisher.tensors().size() == network.architecture().parameters().size());
  CHECK(statistics.seconds >= 0);
  CHECK(statistics.workspace_bytes > 0);
  // Forward 2 * 50, backward 2 draws * 2 * 20 (above the first layer), accumulation 2 * 50 flops.
  CHECK(fisher_flops_per_sample(network.architecture(), options.estimator, options.likelihood) == 280);
  CHECK(statistics.flops == 33 * 280);
  CHECK(seeds_per_sample(options.estimator, options.likelihood, 4) == 2);
}

// Small networks sum chains of samples apart from each other; this one's tiles of F are added to in place.
TEST_CASE("a network whose F is too large for partial sums equals the reference, biases too") {
  const Network network = make_network("mlp:900-800-10", 3);
  const Samples samples = make_samples(network, 5, Likelihood::Categorical, 4);
  const reference::Mlp mlp = reference::make_mlp(network);
  for (const Estimator& estimator : {Estimator{EstimatorKind::Empirical}, {EstimatorKind::Exact}}) {
    const Vector expected =
        reference::fisher_diagonal(mlp, samples, estimator, Likelihood::Categorical, Normalization::Mean);
    for (int threads : {1, 2})
      CHECK(worst_tensor_error(
                compute(network, samples, estimator, Likelihood::Categorical, default_isa(), threads),
                expected) <= kTolerance);
  }
}
