#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "likelihood/seed_fixture.hpp"
#include "reference/fisher_reference.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

double nll_of(Likelihood likelihood, const Rows& logits, const Rows& targets, Isa isa,
              std::vector<float>* residuals = nullptr) {
  const std::vector<float> z = flatten(logits), y = flatten(targets);
  std::vector<float> gradient(z.size(), std::nanf(""));
  const double nll = nll_and_residuals(likelihood, view(z, logits.size()), view(y, targets.size()),
                                       indices_from(0, logits.size()), kernels::kernel_table(isa),
                                       {gradient.data(), logits.size(), logits.front().size()});
  if (residuals) *residuals = gradient;
  return nll;
}

}  // namespace

TEST_CASE("nll and residuals equal the float64 reference for every likelihood and level") {
  for (Isa isa : available_isas())
    for (Likelihood likelihood : kLikelihoods)
      for (std::size_t outputs : {2u, 5u, 16u, 19u}) {
        INFO(std::string(isa_name(isa)) << " " << std::string(likelihood_name(likelihood)) << " " << outputs);
        const Rows logits = random_logits(31, outputs, 3, 61);
        const Rows targets = random_targets(likelihood, 31, outputs, 62);
        std::vector<float> residuals;
        const double found = nll_of(likelihood, logits, targets, isa, &residuals);
        double expected = 0;
        Vector gradients;
        for (std::size_t r = 0; r < logits.size(); ++r) {
          const Vector z = to_double(logits[r]), y = to_double(targets[r]);
          expected += reference::nll(likelihood, z, y);
          for (double value : reference::nll_gradient(likelihood, z, y)) gradients.push_back(value);
        }
        // -log p inherits softmax's relative 2e-6 of p as an absolute error; nll here is above 0.1 per row.
        CHECK_THAT(found, Catch::Matchers::WithinRel(expected, 1e-5));
        CHECK(reference::relative_error(residuals, gradients) <= 4e-6);
      }
}

TEST_CASE("residuals are the derivative of nll: central differences in float64") {
  // Truncation h^2/6 |f'''| and rounding u/h |f| are below 1e-9 at h = 1e-5 for these values.
  constexpr double kStep = 1e-5;
  for (Likelihood likelihood : kLikelihoods) {
    const Vector y = to_double(random_targets(likelihood, 1, 4, 71)[0]);
    const Vector z = to_double(random_logits(1, 4, 2, 72)[0]);
    const Vector gradient = reference::nll_gradient(likelihood, z, y);
    for (std::size_t c = 0; c < 4; ++c) {
      Vector up = z, down = z;
      up[c] += kStep;
      down[c] -= kStep;
      const double slope =
          (reference::nll(likelihood, up, y) - reference::nll(likelihood, down, y)) / (2 * kStep);
      CHECK(std::abs(slope - gradient[c]) <= 1e-8);
    }
  }
}

TEST_CASE("nll of a confident and of an impossible label keeps its digits") {
  // Right by 30: nll = log(1 + 2 e^-30) = 2 e^-30; wrong by 200: p underflows, nll = 200.
  CHECK_THAT(nll_of(Likelihood::Categorical, {{30, 0, 0}}, {{0}}, default_isa()),
             Catch::Matchers::WithinRel(2 * std::exp(-30.0), 3e-6));
  CHECK_THAT(nll_of(Likelihood::Categorical, {{200, 0, -100}}, {{1}}, default_isa()),
             Catch::Matchers::WithinRel(200.0, 1e-12));
  CHECK_THAT(nll_of(Likelihood::Bernoulli, {{90}}, {{1}}, default_isa()),
             Catch::Matchers::WithinRel(std::exp(-90.0), 1e-12));
  CHECK_THAT(nll_of(Likelihood::Bernoulli, {{90}}, {{0}}, default_isa()),
             Catch::Matchers::WithinRel(90.0, 1e-12));
}

TEST_CASE("nll refuses what seeds refuse") {
  CHECK_THROWS_AS(nll_of(Likelihood::Categorical, {{0, 1}}, {{2}}, default_isa()), DataError);
  CHECK_THROWS_AS(nll_of(Likelihood::Gaussian, {{std::nanf("")}}, {{0}}, default_isa()), DataError);
  CHECK_THROWS_AS(nll_of(Likelihood::Categorical, {{0, 1}}, {{0}, {1}}, default_isa()), ArgumentError);
}
