// The oracle itself against finite differences and identities.
#include "fisher/fisher_fixture.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

TEST_CASE("the reference's gradient is the derivative of its nll: central differences of every parameter") {
  // h = 1e-5: truncation h^2 |f'''| / 6 and rounding 1e-16 |f| / h are both below 1e-9 of these functions'
  // scale; 1e-6 (|g| + 1e-3 max |g|) leaves room for third derivatives of a few hundred.
  constexpr double kStep = 1e-5;
  for (const char* architecture : {"mlp:5-3", "mlp:6-7-4:tanh", "mlp:6-7-4:sigmoid", "mlp:5-6-4-3:tanh"})
    for (Likelihood likelihood :
         {Likelihood::Categorical, Likelihood::Gaussian, Likelihood::Bernoulli, Likelihood::Poisson}) {
      INFO(architecture << " " << std::string(likelihood_name(likelihood)));
      const Network network = make_network(architecture, 3);
      const Samples samples = make_samples(network, 2, likelihood, 4);
      reference::Mlp mlp = reference::make_mlp(network);
      for (std::size_t n = 0; n < samples.size(); ++n) {
        const Vector x = samples.input(n), y = samples.target(n);
        const Vector g =
            reference::gradient(mlp, x, reference::nll_gradient(likelihood, reference::forward(mlp, x), y));
        double scale = 0;
        for (double value : g) scale = std::max(scale, std::abs(value));
        for (std::size_t i = 0; i < g.size(); ++i) {
          const double kept = mlp.parameters[i];
          mlp.parameters[i] = kept + kStep;
          const double up = reference::nll(likelihood, reference::forward(mlp, x), y);
          mlp.parameters[i] = kept - kStep;
          const double down = reference::nll(likelihood, reference::forward(mlp, x), y);
          mlp.parameters[i] = kept;
          CHECK(std::abs((up - down) / (2 * kStep) - g[i]) <= 1e-6 * (std::abs(g[i]) + 1e-3 * scale));
        }
      }
    }
}

TEST_CASE("the reference's relu gradient matches differences away from kinks") {
  constexpr double kStep = 1e-6;
  const Network network = make_network("mlp:6-7-4:relu", 5);
  const Samples samples = make_samples(network, 1, Likelihood::Categorical, 6);
  reference::Mlp mlp = reference::make_mlp(network);
  const Vector x = samples.input(0), y = samples.target(0);
  const auto nll = [&] { return reference::nll(Likelihood::Categorical, reference::forward(mlp, x), y); };
  const Vector g = reference::gradient(
      mlp, x, reference::nll_gradient(Likelihood::Categorical, reference::forward(mlp, x), y));
  std::size_t off = 0;
  for (std::size_t i = 0; i < g.size(); ++i) {
    const double kept = mlp.parameters[i];
    mlp.parameters[i] = kept + kStep;
    const double up = nll();
    mlp.parameters[i] = kept - kStep;
    const double down = nll();
    mlp.parameters[i] = kept;
    off += std::abs((up - down) / (2 * kStep) - g[i]) > 1e-6;
  }
  // No pre-activation of this seed lies within 1e-6 of 0.
  CHECK(off == 0);
}

TEST_CASE("the reference's exact diagonal is the diagonal of its full matrix for every likelihood") {
  for (Likelihood likelihood :
       {Likelihood::Categorical, Likelihood::Gaussian, Likelihood::Bernoulli, Likelihood::Poisson}) {
    const Network network = make_network("mlp:3-4-3:tanh", 7);
    const reference::Mlp mlp = reference::make_mlp(network);
    const Samples samples = make_samples(network, 6, likelihood, 8);
    const Vector full = reference::full_fisher(mlp, samples, likelihood);
    const Vector exact =
        reference::fisher_diagonal(mlp, samples, {EstimatorKind::Exact}, likelihood, Normalization::Mean);
    const std::size_t parameters = mlp.parameters.size();
    for (std::size_t i = 0; i < parameters; ++i) {
      // Two orders of summation in double.
      CHECK(std::abs(full[i * parameters + i] - exact[i]) <= 1e-13 * std::abs(exact[i]) + 1e-30);
      for (std::size_t j = 0; j < i; ++j)
        CHECK(std::abs(full[i * parameters + j] - full[j * parameters + i]) <= 1e-13);
    }
  }
}
