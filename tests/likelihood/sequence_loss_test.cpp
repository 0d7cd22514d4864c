#include "fisherdiag/likelihood/sequence_loss.hpp"

#include <cmath>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "reference/likelihood_reference.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

constexpr std::size_t kSamples = 3, kPositions = 4, kClasses = 3;

/// Logits of all sizes: some labels have probabilities that are no float.
std::vector<float> make_logits() {
  std::vector<float> logits;
  for (std::size_t i = 0; i < kSamples * kPositions * kClasses; ++i)
    logits.push_back(static_cast<float>(static_cast<int>(i * 37 % 101) - 50) * (i % 5 == 0 ? 4.f : 0.1f));
  return logits;
}

struct Loss {
  double nll;
  std::vector<float> residuals;
};

Loss loss_of(const std::vector<float>& logits, const std::vector<float>& labels) {
  const std::vector<std::uint64_t> samples{7, 8, 9};
  Loss loss{0, std::vector<float>(logits.size(), 77.f)};
  loss.nll = sequence_nll_and_residuals(
      Likelihood::Categorical, {logits.data(), kSamples * kPositions, kClasses},
      {labels.data(), kSamples, kPositions}, samples, kernels::kernel_table(available_isas().back()),
      {loss.residuals.data(), kSamples * kPositions, kClasses});
  return loss;
}

}  // namespace

TEST_CASE("the nll of sequences is the sum over positions whose label counts", "[likelihood]") {
  const std::vector<float> logits = make_logits();
  // None, one, most and all of a sequence's labels; the first and the last row with and without.
  const std::vector<std::vector<float>> cases{{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2},
                                              {-100, 1, 2, 0, -100, -100, 0, -100, 2, 0, 1, -100},
                                              {0, -100, -100, -100, -100, -100, -100, -100, 1, 1, -100, 2},
                                              std::vector<float>(12, -100)};
  for (const std::vector<float>& labels : cases) {
    const Loss loss = loss_of(logits, labels);
    double nll = 0;
    for (std::size_t r = 0; r < labels.size(); ++r) {
      const reference::Vector z(logits.begin() + r * kClasses, logits.begin() + (r + 1) * kClasses);
      reference::Vector expected(kClasses, 0.0);
      if (labels[r] >= 0) {
        nll += reference::nll(Likelihood::Categorical, z, {labels[r]});
        expected = reference::nll_gradient(Likelihood::Categorical, z, {labels[r]});
      }
      CAPTURE(r, labels[r]);
      // Float exponentials of differences of up to 400: 400 ulps.
      for (std::size_t c = 0; c < kClasses; ++c)
        REQUIRE(std::abs(loss.residuals[r * kClasses + c] - expected[c]) <=
                400 * 0x1p-24 * std::abs(expected[c]) + 1e-37);
    }
    REQUIRE(std::abs(loss.nll - nll) <= 1e-5 * nll);
  }
}

TEST_CASE("sequence losses refuse labels and shapes, naming the sample", "[likelihood]") {
  std::vector<float> logits = make_logits();
  std::vector<float> labels(12, 1);
  labels[6] = 3;
  REQUIRE_THROWS_WITH(loss_of(logits, labels), testing::contains("sample 8") && testing::contains("is 3"));
  labels[6] = -1;
  REQUIRE_THROWS_WITH(loss_of(logits, labels), testing::contains("sample 8"));
  labels[6] = 1;
  logits[35] = std::nanf("");
  REQUIRE_THROWS_WITH(loss_of(logits, labels), testing::contains("sample 9"));
  const std::vector<std::uint64_t> samples{7, 8, 9};
  std::vector<float> residuals(36);
  REQUIRE_THROWS_AS(sequence_nll_and_residuals(
                        Likelihood::Categorical, {logits.data(), 12, 3}, {labels.data(), 3, 3}, samples,
                        kernels::kernel_table(available_isas().back()), {residuals.data(), 12, 3}),
                    ArgumentError);
}
