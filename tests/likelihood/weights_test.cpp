// A weight per sample: seeds times its root, squares times it.
#include "fisherdiag/base/error.hpp"
#include "likelihood/seed_fixture.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

const std::vector<float> kLogits{0.5f, -1.0f, 2.0f, 0.0f, 0.25f, -0.5f, 1.0f, 1.5f, -2.0f};
const std::vector<float> kTargets{1, 0, 1, 0, 1, 1, 0, 0, 1}, kLabels{2, 0, 1};
const std::vector<float> kWeights{0.0f, 0.3f, 700.0f};

void prepare(SeedBlock& block, Likelihood likelihood, EstimatorKind kind, std::span<const float> weights) {
  const bool labels = likelihood == Likelihood::Categorical;
  const MatrixView<const float> targets =
      needs_targets(kind) ? view(labels ? kLabels : kTargets, 3) : MatrixView<const float>();
  block.prepare(view(kLogits, 3), targets, indices_from(5, 3), weights);
}

}  // namespace

TEST_CASE("weighted seeds are the seeds times the root of the weight, squares times the weight") {
  for (Likelihood likelihood : kLikelihoods)
    for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::MonteCarlo,
                               EstimatorKind::Sketch, EstimatorKind::Predicted}) {
      if (kind == EstimatorKind::Predicted && likelihood == Likelihood::Gaussian) continue;
      INFO(std::string(estimator_name(kind)) << " " << std::string(likelihood_name(likelihood)));
      SeedBlock block({kind, 2, 9}, likelihood, 3, kernels::kernel_table(default_isa()));
      prepare(block, likelihood, kind, {});
      std::vector<std::vector<float>> plain;
      for (std::size_t k = 0; k < block.columns(); ++k) plain.push_back(column(block, k, 3, 3));
      const std::vector<float> plain_squares = squares(block, 3, 3);
      prepare(block, likelihood, kind, kWeights);
      // One root and one product, each rounded once: 2^-23 relative.
      for (std::size_t k = 0; k < block.columns(); ++k)
        for (std::size_t i = 0; i < 9; ++i)
          CHECK_THAT(column(block, k, 3, 3)[i],
                     Catch::Matchers::WithinRel(std::sqrt(kWeights[i / 3]) * plain[k][i], 1.2e-7f));
      for (std::size_t i = 0; i < 9; ++i)
        CHECK_THAT(squares(block, 3, 3)[i],
                   Catch::Matchers::WithinRel(kWeights[i / 3] * plain_squares[i], 1.2e-7f));
      // The next block without weights has none.
      prepare(block, likelihood, kind, {});
      CHECK(squares(block, 3, 3) == plain_squares);
    }
}

TEST_CASE("weights that make no sense are refused") {
  SeedBlock exact({EstimatorKind::Exact}, Likelihood::Categorical, 3, kernels::kernel_table(default_isa()));
  CHECK_THROWS_AS(prepare(exact, Likelihood::Categorical, EstimatorKind::Exact, std::span(kWeights).first(2)),
                  ArgumentError);
  SeedBlock batched({EstimatorKind::Batched}, Likelihood::Categorical, 3,
                    kernels::kernel_table(default_isa()));
  CHECK(contains(message_of<ArgumentError>(
                     [&] { prepare(batched, Likelihood::Categorical, EstimatorKind::Batched, kWeights); }),
                 "batched"));
  CHECK_NOTHROW(prepare(batched, Likelihood::Categorical, EstimatorKind::Batched, {}));
}
