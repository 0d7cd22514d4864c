#include "fisherdiag/likelihood/seeds.hpp"

#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "likelihood/seed_fixture.hpp"
#include "reference/fisher_reference.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr std::size_t kRows = 23, kOutputs = 6;

const std::vector<Estimator> kEstimators{{EstimatorKind::Empirical},         {EstimatorKind::Exact},
                                         {EstimatorKind::MonteCarlo, 5, 11}, {EstimatorKind::Sketch, 5, 12},
                                         {EstimatorKind::Predicted},         {EstimatorKind::Batched}};

bool has_meaning(const Estimator& estimator, Likelihood likelihood) {
  return estimator.kind != EstimatorKind::Predicted || likelihood != Likelihood::Gaussian;
}

std::string label(const Estimator& estimator, Likelihood likelihood) {
  return std::string(estimator_name(estimator.kind)) + " " + std::string(likelihood_name(likelihood));
}

/// Seeds of one sample by the definition of the estimator, except exact, whose factor is Cholesky's.
std::vector<Vector> expected_seeds(const Estimator& estimator, Likelihood likelihood, const Vector& z,
                                   const Vector& target, std::uint64_t sample) {
  const std::size_t n = z.size();
  std::vector<Vector> seeds;
  if (estimator.kind == EstimatorKind::Exact) {
    const Vector l = reference::cholesky(reference::score_covariance(likelihood, z), n);
    const std::size_t columns = likelihood == Likelihood::Categorical ? n - 1 : n;
    for (std::size_t k = 0; k < columns; ++k) {
      seeds.emplace_back();
      for (std::size_t c = 0; c < n; ++c) seeds.back().push_back(l[c * n + k]);
    }
  } else if (estimator.kind == EstimatorKind::MonteCarlo) {
    seeds = reference::drawn_gradients(likelihood, z, estimator, sample);
    for (Vector& seed : seeds)
      for (double& value : seed) value /= std::sqrt(static_cast<double>(estimator.draws));
  } else if (estimator.kind == EstimatorKind::Sketch) {
    seeds = reference::sketch_seeds(likelihood, z, estimator, sample);
  } else {
    const bool predicted = estimator.kind == EstimatorKind::Predicted;
    seeds.push_back(
        reference::nll_gradient(likelihood, z, predicted ? reference::mode(likelihood, z) : target));
  }
  return seeds;
}

}  // namespace

TEST_CASE("names of estimators and likelihoods map to each other") {
  for (const char* name : {"empirical", "exact", "mc", "sketch", "predicted", "batched"}) {
    REQUIRE(estimator_from_name(name));
    CHECK(estimator_name(*estimator_from_name(name)) == name);
  }
  for (const char* name : {"categorical", "gaussian", "bernoulli", "poisson"}) {
    REQUIRE(likelihood_from_name(name));
    CHECK(likelihood_name(*likelihood_from_name(name)) == name);
  }
  CHECK_FALSE(estimator_from_name("montecarlo"));
  CHECK_FALSE(estimator_from_name("Exact"));
  CHECK_FALSE(likelihood_from_name(""));
}

TEST_CASE("seeds of every estimator and likelihood equal the float64 reference at every level") {
  for (Isa isa : available_isas())
    for (Likelihood likelihood : kLikelihoods)
      for (const Estimator& estimator : kEstimators) {
        if (!has_meaning(estimator, likelihood)) continue;
        INFO(label(estimator, likelihood) << " " << std::string(isa_name(isa)));
        const Rows logits = random_logits(kRows, kOutputs, 2.5, 21);
        const Rows targets = random_targets(likelihood, kRows, kOutputs, 22);
        const bool with = needs_targets(estimator.kind);
        const SeedBlock block = prepared(estimator, likelihood, logits, with ? targets : Rows{}, isa, 1000);
        REQUIRE(block.columns() == seed_columns(estimator, likelihood, kOutputs));
        for (std::size_t k = 0; k < block.columns(); ++k) {
          const std::vector<float> found = column(block, k, kRows, kOutputs);
          for (std::size_t r = 0; r < kRows; ++r) {
            const auto expected =
                expected_seeds(estimator, likelihood, to_double(logits[r]), to_double(targets[r]), 1000 + r);
            REQUIRE(expected.size() == block.columns());
            const std::vector<float> row(found.begin() + r * kOutputs, found.begin() + (r + 1) * kOutputs);
            // The densities carry 2e-6, each further operation 6e-8; a residual near 0 is small against its
            // row.
            CHECK(reference::relative_error(row, expected[k]) <= 1e-5);
          }
        }
      }
}

TEST_CASE("closed-form squares equal the sum of squares over columns") {
  for (Isa isa : available_isas())
    for (Likelihood likelihood : kLikelihoods)
      for (const Estimator& estimator : kEstimators) {
        if (!has_meaning(estimator, likelihood)) continue;
        INFO(label(estimator, likelihood) << " " << std::string(isa_name(isa)));
        const Rows logits = random_logits(kRows, kOutputs, 4, 31);
        const Rows targets = random_targets(likelihood, kRows, kOutputs, 32);
        const SeedBlock block =
            prepared(estimator, likelihood, logits, needs_targets(estimator.kind) ? targets : Rows{}, isa);
        Vector sum(kRows * kOutputs, 0.0);
        for (std::size_t k = 0; k < block.columns(); ++k) {
          const std::vector<float> seeds = column(block, k, kRows, kOutputs);
          for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += std::pow(static_cast<double>(seeds[i]), 2);
        }
        const std::vector<float> found = squares(block, kRows, kOutputs);
        for (std::size_t i = 0; i < sum.size(); ++i)
          // Both sides come from the same p; at most 20 roundings of 6e-8 each.
          CHECK_THAT(found[i], Catch::Matchers::WithinRel(sum[i], 2e-6));
      }
}

TEST_CASE("seeds do not depend on how the samples are cut into blocks, nor on what a block held before") {
  for (Likelihood likelihood : kLikelihoods)
    for (const Estimator& estimator : kEstimators) {
      if (!has_meaning(estimator, likelihood)) continue;
      INFO(label(estimator, likelihood));
      const bool with = needs_targets(estimator.kind);
      const Rows logits = random_logits(kRows, kOutputs, 3, 41);
      const Rows targets = random_targets(likelihood, kRows, kOutputs, 42);
      const SeedBlock whole =
          prepared(estimator, likelihood, logits, with ? targets : Rows{}, default_isa(), 500);
      SeedBlock parts(estimator, likelihood, kOutputs, kernels::kernel_table(default_isa()));
      std::size_t first = 0;
      for (std::size_t count : {std::size_t{9}, std::size_t{1}, kRows - 10}) {
        const Rows some(logits.begin() + first, logits.begin() + first + count);
        const Rows some_targets(targets.begin() + first, targets.begin() + first + count);
        const std::vector<float> z = flatten(some), y = flatten(some_targets);
        parts.prepare(view(z, count), with ? view(y, count) : MatrixView<const float>(),
                      indices_from(500 + first, count));
        for (std::size_t k = 0; k < whole.columns(); ++k) {
          const std::vector<float> expected = column(whole, k, kRows, kOutputs);
          const std::vector<float> found = column(parts, k, count, kOutputs);
          CHECK(std::equal(found.begin(), found.end(), expected.begin() + first * kOutputs));
        }
        first += count;
      }
    }
}

TEST_CASE("strided rows are read and written in place and nothing between them is touched") {
  const Rows logits = random_logits(4, 3, 2, 51);
  const SeedBlock dense = prepared({}, Likelihood::Categorical, logits, {{0}, {1}, {2}, {0}}, default_isa());
  constexpr std::size_t kStride = 5;
  std::vector<float> z(4 * kStride, std::nanf("")), y(4 * 2, std::nanf("")), seeds(4 * kStride, 77.0f);
  for (std::size_t r = 0; r < 4; ++r) {
    std::copy(logits[r].begin(), logits[r].end(), z.begin() + r * kStride);
    y[2 * r] = static_cast<float>(r % 3);
  }
  SeedBlock block({}, Likelihood::Categorical, 3, kernels::kernel_table(default_isa()));
  block.prepare({z.data(), 4, 3, kStride}, {y.data(), 4, 1, 2}, indices_from(0, 4));
  block.write(0, {seeds.data(), 4, 3, kStride});
  const std::vector<float> expected = column(dense, 0, 4, 3);
  for (std::size_t r = 0; r < 4; ++r) {
    for (std::size_t c = 0; c < 3; ++c) CHECK(seeds[r * kStride + c] == expected[r * 3 + c]);
    for (std::size_t c = 3; c < kStride; ++c) CHECK(seeds[r * kStride + c] == 77.0f);
  }
}

TEST_CASE("columns per sample") {
  CHECK(seed_columns({EstimatorKind::Exact}, Likelihood::Categorical, 10) == 9);
  CHECK(seed_columns({EstimatorKind::Exact}, Likelihood::Gaussian, 10) == 10);
  CHECK(seed_columns({EstimatorKind::MonteCarlo, 3}, Likelihood::Poisson, 10) == 3);
  CHECK(seed_columns({EstimatorKind::Sketch, 4}, Likelihood::Categorical, 10) == 4);
  CHECK(seed_columns({EstimatorKind::Batched}, Likelihood::Categorical, 10) == 1);
  CHECK(needs_targets(EstimatorKind::Empirical));
  CHECK(needs_targets(EstimatorKind::Batched));
  CHECK_FALSE(needs_targets(EstimatorKind::Exact));
  CHECK_FALSE(needs_targets(EstimatorKind::MonteCarlo));
  CHECK_FALSE(needs_targets(EstimatorKind::Predicted));
}
