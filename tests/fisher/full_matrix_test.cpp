// The whole Fisher matrix: its diagonal is the engine's, it is the reference's, and it is a Hessian where it
// should be.
#include "fisherdiag/fisher/full_matrix.hpp"

#include <cmath>
#include <limits>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

const std::vector<Likelihood> kLikelihoods{Likelihood::Categorical, Likelihood::Gaussian,
                                           Likelihood::Bernoulli, Likelihood::Poisson};

FisherMatrix full(const Network& network, const Samples& samples, const Estimator& estimator,
                  Likelihood likelihood, int threads = 1, Normalization normalization = Normalization::Mean) {
  const auto data = reference::to_dataset(samples);
  FullMatrixOptions options;
  options.estimator = estimator;
  options.likelihood = likelihood;
  options.normalization = normalization;
  return compute_full_fisher(network, *data, options, Context(threads));
}

Vector values_of(const FisherMatrix& matrix) {
  return Vector(matrix.values().begin(), matrix.values().end());
}

/// True if every eigenvalue of m is above -shift: then the Cholesky pivots of m + shift I are positive.
bool eigenvalues_above(const FisherMatrix& m, double shift) {
  const std::size_t n = m.size();
  Vector l(n * n, 0.0);
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t i = j; i < n; ++i) {
      double rest = m(i, j) + (i == j ? shift : 0);
      for (std::size_t k = 0; k < j; ++k) rest -= l[i * n + k] * l[j * n + k];
      if (i == j && !(rest > 0)) return false;
      l[i * n + j] = i == j ? std::sqrt(rest) : rest / l[j * n + j];
    }
  return true;
}

/// Mean over samples of the nll's expectation over targets of the model at `truth`; the outputs of all but
/// the categorical likelihood are independent, and their nll is affine in the target apart from constants.
double expected_loss(const reference::Mlp& mlp, const reference::Mlp& truth, const Samples& samples,
                     Likelihood likelihood) {
  double sum = 0;
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const Vector z = reference::forward(mlp, samples.input(n));
    const Vector at_truth = reference::forward(truth, samples.input(n));
    if (likelihood == Likelihood::Categorical) {
      const Vector p = reference::softmax(at_truth);
      for (std::size_t c = 0; c < p.size(); ++c)
        sum += p[c] * reference::nll(likelihood, z, {static_cast<double>(c)});
      continue;
    }
    for (std::size_t c = 0; c < z.size(); ++c) {
      const double mean = likelihood == Likelihood::Gaussian    ? at_truth[c]
                          : likelihood == Likelihood::Bernoulli ? 1 / (1 + std::exp(-at_truth[c]))
                                                                : std::exp(at_truth[c]);
      const double at_zero = reference::nll(likelihood, {z[c]}, {0.0});
      if (likelihood == Likelihood::Gaussian)
        sum += reference::nll(likelihood, {z[c]}, {mean});
      else
        sum += at_zero + mean * (reference::nll(likelihood, {z[c]}, {1.0}) - at_zero);
    }
  }
  return sum / static_cast<double>(samples.size());
}

double data_loss(const reference::Mlp& mlp, const Samples& samples, Likelihood likelihood) {
  double sum = 0;
  for (std::size_t n = 0; n < samples.size(); ++n)
    sum += reference::nll(likelihood, reference::forward(mlp, samples.input(n)), samples.target(n));
  return sum / static_cast<double>(samples.size());
}

/// Second differences of `loss` at the parameters of `mlp` [P, P]: truncation h^2 f'''' / 6 and rounding
/// 4 * 1e-16 f / h^2 are both below 1e-6 for h = 1e-3 and fourth derivatives of a few units.
template <class Loss>
Vector hessian(reference::Mlp mlp, Loss loss) {
  constexpr double kStep = 1e-3;
  const std::size_t parameters = mlp.parameters.size();
  const auto at = [&](std::size_t i, double di, std::size_t j, double dj) {
    const Vector kept = mlp.parameters;
    mlp.parameters[i] += di;
    mlp.parameters[j] += dj;
    const double value = loss(mlp);
    mlp.parameters = kept;
    return value;
  };
  Vector result(parameters * parameters);
  for (std::size_t i = 0; i < parameters; ++i)
    for (std::size_t j = 0; j < parameters; ++j)
      result[i * parameters + j] = (at(i, kStep, j, kStep) - at(i, kStep, j, -kStep) -
                                    at(i, -kStep, j, kStep) + at(i, -kStep, j, -kStep)) /
                                   (4 * kStep * kStep);
  return result;
}

/// Mean gradient of the data's nll.
Vector data_gradient(const reference::Mlp& mlp, const Samples& samples, Likelihood likelihood) {
  Vector sum(mlp.parameters.size(), 0.0);
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const Vector x = samples.input(n);
    const Vector g = reference::gradient(
        mlp, x, reference::nll_gradient(likelihood, reference::forward(mlp, x), samples.target(n)));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += g[i] / static_cast<double>(samples.size());
  }
  return sum;
}

/// Solves a x = b for a positive definite a by Gaussian elimination.
Vector solve(const FisherMatrix& a, Vector b) {
  const std::size_t n = a.size();
  Vector m = values_of(a);
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = m[i * n + k] / m[k * n + k];
      for (std::size_t j = k; j < n; ++j) m[i * n + j] -= factor * m[k * n + j];
      b[i] -= factor * b[k];
    }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t j = i + 1; j < n; ++j) b[i] -= m[i * n + j] * b[j];
    b[i] /= m[i * n + i];
  }
  return b;
}

}  // namespace

TEST_CASE("the full matrix's diagonal is the engine's diagonal for every estimator and likelihood") {
  const std::vector<Estimator> estimators{
      {EstimatorKind::Empirical},      {EstimatorKind::Exact},     {EstimatorKind::MonteCarlo, 3, 101},
      {EstimatorKind::Sketch, 3, 102}, {EstimatorKind::Predicted}, {EstimatorKind::Batched, 1, 1, 16}};
  // 77 samples are two blocks and a part, and four batches and a part.
  for (const char* architecture : {"mlp:5-3", "mlp:6-7-4:relu", "mlp:5-6-4-3:tanh"})
    for (Likelihood likelihood : kLikelihoods)
      for (const Estimator& estimator : estimators)
        for (Normalization normalization : {Normalization::Mean, Normalization::Sum}) {
          if (estimator.kind == EstimatorKind::Predicted && likelihood == Likelihood::Gaussian) continue;
          INFO(architecture << " " << std::string(estimator_name(estimator.kind)) << " "
                            << std::string(likelihood_name(likelihood)));
          const Network network = make_network(architecture, 7);
          const Samples samples = make_samples(network, 77, likelihood, 8);
          const Vector diagonal = full(network, samples, estimator, likelihood, 1, normalization).diagonal();
          // The engine's float32 gradients, squared, as in compute_test.
          CHECK(worst_tensor_error(
                    compute(network, samples, estimator, likelihood, default_isa(), 1, normalization),
                    diagonal) <= 1e-5);
        }
}

TEST_CASE("the exact full matrix is the reference's J^T cov J, symmetric and positive semi-definite") {
  for (const char* architecture : {"mlp:4-3", "mlp:3-4-3:tanh"})
    for (Likelihood likelihood : kLikelihoods) {
      INFO(architecture << " " << std::string(likelihood_name(likelihood)));
      const Network network = make_network(architecture, 7);
      const Samples samples = make_samples(network, 40, likelihood, 8);
      const FisherMatrix matrix = full(network, samples, {EstimatorKind::Exact}, likelihood);
      const Vector expected = reference::full_fisher(reference::make_mlp(network), samples, likelihood);
      // Seeds in float32, everything else in double: two roundings of 6e-8 per product of seeds, and the
      // factor's own 2e-6.
      CHECK(reference::relative_error(values_of(matrix), expected) <= 5e-6);
      double trace = 0;
      for (double value : matrix.diagonal()) trace += value;
      for (std::size_t i = 0; i < matrix.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) CHECK(matrix(i, j) == matrix(j, i));
      // Sums of outer squares in double: rounding of 1e-16 per term.
      CHECK(eigenvalues_above(matrix, 1e-13 * trace));
    }
}

TEST_CASE("every estimator's full matrix is positive semi-definite, also with fewer terms than parameters") {
  const Network network = make_network("mlp:6-7-4:relu", 9);
  const Samples samples = make_samples(network, 10, Likelihood::Categorical, 10);
  for (const Estimator& estimator : std::vector<Estimator>{{EstimatorKind::Empirical},
                                                           {EstimatorKind::MonteCarlo, 2, 3},
                                                           {EstimatorKind::Sketch, 2, 3},
                                                           {EstimatorKind::Predicted},
                                                           {EstimatorKind::Batched, 1, 1, 4}}) {
    const FisherMatrix matrix = full(network, samples, estimator, Likelihood::Categorical);
    double trace = 0;
    for (double value : matrix.diagonal()) trace += value;
    CHECK(trace > 0);
    CHECK(eigenvalues_above(matrix, 1e-13 * trace));
  }
}

TEST_CASE(
    "the exact Fisher is the Hessian of the expected loss at its minimum, models linear in parameters") {
  for (Likelihood likelihood : kLikelihoods) {
    INFO(std::string(likelihood_name(likelihood)));
    const Network network = make_network("mlp:3-2", 11);
    const Samples samples = make_samples(network, 12, likelihood, 12);
    const reference::Mlp truth = reference::make_mlp(network);
    const Vector second = hessian(
        truth, [&](const reference::Mlp& mlp) { return expected_loss(mlp, truth, samples, likelihood); });
    const FisherMatrix fisher = full(network, samples, {EstimatorKind::Exact}, likelihood);
    CHECK(reference::relative_error(values_of(fisher), second) <= 1e-5);
    // The empirical Fisher is not: its seeds are the data's residuals.
    CHECK(reference::relative_error(values_of(full(network, samples, {EstimatorKind::Empirical}, likelihood)),
                                    second) > 0.05);
  }
}

TEST_CASE("logistic regression at the minimum of its data's loss: the exact Fisher is the Hessian there") {
  Network network = make_network("mlp:3-1", 13);
  const Samples samples = make_samples(network, 60, Likelihood::Bernoulli, 14);
  // Newton's method with the Fisher as Hessian; it converges only because that is what it is.
  for (int step = 0; step < 8; ++step) {
    const Vector down = solve(full(network, samples, {EstimatorKind::Exact}, Likelihood::Bernoulli),
                              data_gradient(reference::make_mlp(network), samples, Likelihood::Bernoulli));
    for (std::size_t i = 0; i < down.size(); ++i) network.parameters()[i] -= static_cast<float>(down[i]);
  }
  const reference::Mlp minimum = reference::make_mlp(network);
  // Parameters are floats of a few units: gradients vanish to their rounding.
  for (double g : data_gradient(minimum, samples, Likelihood::Bernoulli)) CHECK(std::abs(g) <= 1e-6);
  const Vector second = hessian(
      minimum, [&](const reference::Mlp& mlp) { return data_loss(mlp, samples, Likelihood::Bernoulli); });
  CHECK(reference::relative_error(
            values_of(full(network, samples, {EstimatorKind::Exact}, Likelihood::Bernoulli)), second) <=
        1e-5);
}

TEST_CASE("the mean of mc over draws is the exact matrix, off the diagonal too") {
  const Network network = make_network("mlp:2-3", 15, 1);
  const Samples samples = make_samples(network, 4, Likelihood::Categorical, 16);
  const FisherMatrix exact = full(network, samples, {EstimatorKind::Exact}, Likelihood::Categorical);
  const FisherMatrix mc =
      full(network, samples, {EstimatorKind::MonteCarlo, 40000, 17}, Likelihood::Categorical);
  double trace = 0;
  for (double value : exact.diagonal()) trace += value;
  // One draw's matrix differs from its mean by at most about the trace: 1 / sqrt(160000) of it is 0.0025, and
  // five of those are never seen.
  for (std::size_t i = 0; i < exact.values().size(); ++i)
    CHECK(std::abs(mc.values()[i] - exact.values()[i]) <= 0.0125 * trace);
}

TEST_CASE("the full matrix has the same bits for every number of threads") {
  const Network network = make_network("mlp:9-8-4:relu", 17);
  const Samples samples = make_samples(network, 70, Likelihood::Categorical, 18);
  for (EstimatorKind kind : {EstimatorKind::Exact, EstimatorKind::Batched}) {
    const Vector one = values_of(full(network, samples, {kind}, Likelihood::Categorical, 1));
    for (int threads : {2, 3, 7})
      CHECK(values_of(full(network, samples, {kind}, Likelihood::Categorical, threads)) == one);
  }
}

TEST_CASE("what the full matrix refuses is said in one sentence") {
  const auto error = [](const Network& network, Samples samples, Estimator estimator) {
    return message_of<Error>([&] { full(network, samples, estimator, Likelihood::Categorical); });
  };
  const Network large = make_network("mlp:100-41", 19);  // 4141 parameters
  const Samples of_large = make_samples(large, 1, Likelihood::Categorical, 20);
  CHECK(error(large, of_large, {EstimatorKind::Exact}) ==
        "the model has 4141 parameters; the whole Fisher matrix is computed up to 4096");
  Network network = make_network("mlp:3-2", 19);
  Samples samples = make_samples(network, 3, Likelihood::Categorical, 20);
  CHECK(error(network, of_large, {EstimatorKind::Exact}).find("100 features") != std::string::npos);
  CHECK(error(network, samples, {EstimatorKind::MonteCarlo, 0}).find("at least 1 draw") != std::string::npos);
  samples.targets[1] = 5;
  CHECK(error(network, samples, {EstimatorKind::Empirical}).find("sample 1") != std::string::npos);
  network.parameters()[2] = std::numeric_limits<float>::quiet_NaN();
  CHECK(error(network, samples, {EstimatorKind::Exact}).find("'0.weight' is not finite") !=
        std::string::npos);
  CHECK_THROWS_AS(FisherMatrix(2, Vector(3)), ArgumentError);
}

TEST_CASE("the full matrix stops when progress says so") {
  const Network network = make_network("mlp:3-2", 21);
  const auto data = reference::to_dataset(make_samples(network, 100, Likelihood::Categorical, 22));
  FullMatrixOptions options;
  std::vector<std::size_t> seen;
  options.progress = [&](std::size_t done, std::size_t total) {
    seen.push_back(done);
    return total != 100 || seen.size() < 2;
  };
  CHECK_THROWS_AS(compute_full_fisher(network, *data, options, Context(1)), InterruptedError);
  CHECK(seen == std::vector<std::size_t>{32, 64});
}
