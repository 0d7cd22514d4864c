// Labels and counts drawn from the model have the model's distribution. Seeds are fixed; the error rates are
// what a fresh seed would have.
#include <cmath>
#include <functional>

#include "fisherdiag/likelihood/poisson_draw.hpp"
#include "likelihood/seed_fixture.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr std::size_t kClasses = 10, kSamples = 1000, kDraws = 1000;

const std::vector<float> kLogits{1.0f, -0.5f, 0.25f, 2.0f, 0.0f, -1.5f, 0.75f, -0.25f, 1.5f, -1.0f};

/// How often each label was drawn in a million draws: kSamples samples with the same logits.
Vector label_counts() {
  const Rows logits(kSamples, kLogits);
  const SeedBlock block =
      prepared({EstimatorKind::MonteCarlo, kDraws, 2024}, Likelihood::Categorical, logits, {}, default_isa());
  Vector counts(kClasses, 0.0);
  for (std::size_t k = 0; k < kDraws; ++k) {
    const std::vector<float> seeds = column(block, k, kSamples, kClasses);
    for (std::size_t r = 0; r < kSamples; ++r)
      for (std::size_t c = 0; c < kClasses; ++c)
        if (seeds[r * kClasses + c] < 0) counts[c] += 1;
  }
  return counts;
}

double chi_squared(const Vector& counts, const Vector& probabilities) {
  double total = 0, sum = 0;
  for (double count : counts) total += count;
  for (std::size_t c = 0; c < counts.size(); ++c)
    sum += std::pow(counts[c] - total * probabilities[c], 2) / (total * probabilities[c]);
  return sum;
}

/// Counts of a Poisson distribution gathered in cells of about equal width around the mean, tails at the
/// ends.
double poisson_chi_squared(double rate, double assumed_rate, std::size_t draws, std::size_t cells) {
  const double width = std::max(1.0, std::floor(6 * std::sqrt(rate) / static_cast<double>(cells)));
  const double start = std::max(0.0, std::floor(rate - 0.5 * width * static_cast<double>(cells)));
  const auto cell = [&](double count) {
    const double place = std::floor((count - start) / width);
    return static_cast<std::size_t>(std::min(std::max(place, 0.0), static_cast<double>(cells - 1)));
  };
  Vector counts(cells, 0.0), probabilities(cells, 0.0);
  for (std::size_t n = 0; n < draws; ++n) {
    RandomStream random(77, random_stream::kTest, n);
    counts[cell(std::round(rate + draw_poisson_excess(rate, random)))] += 1;
  }
  const double last = rate + 20 * std::sqrt(rate) + 50;
  for (double k = 0; k < last; ++k)
    probabilities[cell(k)] += std::exp(k * std::log(assumed_rate) - assumed_rate - std::lgamma(k + 1));
  return chi_squared(counts, probabilities);
}

}  // namespace

TEST_CASE("a million drawn labels fit softmax, and a 2% tilt would not") {
  const Vector counts = label_counts();
  double total = 0;
  for (double count : counts) total += count;
  REQUIRE(total == 1e6);
  const Vector p = reference::softmax(to_double(kLogits));
  // 9 degrees of freedom: P(chi^2 > 45.1) = 9e-7 is the rate of false alarms.
  CHECK(chi_squared(counts, p) < 45.1);

  // A tilt of 2% has non-centrality of about 1e6 * 0.02^2 = 400: chi^2 = 409 +- 40 falls below 45.1 with
  // probability below 1e-12.
  Vector tilted = p;
  double sum = 0;
  for (std::size_t c = 0; c < kClasses; ++c) sum += tilted[c] *= c % 2 ? 1.02 : 0.98;
  for (double& probability : tilted) probability /= sum;
  CHECK(chi_squared(counts, tilted) > 45.1);
  CHECK(chi_squared(counts, Vector(kClasses, 0.1)) > 1e4);
}

TEST_CASE("draws of one sample are uncorrelated, and so are those of neighbouring samples") {
  const Rows logits(kSamples, {0, 0});
  const SeedBlock block =
      prepared({EstimatorKind::MonteCarlo, 100, 5}, Likelihood::Categorical, logits, {}, default_isa());
  std::vector<Vector> signs;
  for (std::size_t k = 0; k < 100; ++k) {
    const std::vector<float> seeds = column(block, k, kSamples, 2);
    signs.emplace_back();
    for (std::size_t r = 0; r < kSamples; ++r) signs.back().push_back(seeds[2 * r] < 0 ? 1.0 : -1.0);
  }
  double along_draws = 0, along_samples = 0;
  for (std::size_t k = 0; k + 1 < 100; ++k)
    for (std::size_t r = 0; r + 1 < kSamples; ++r) {
      along_draws += signs[k][r] * signs[k + 1][r];
      along_samples += signs[k][r] * signs[k][r + 1];
    }
  // Sums of 99 * 999 independent signs: sd 314.5; 6 sd is exceeded with probability 2e-9.
  CHECK(std::abs(along_draws) < 6 * 314.5);
  CHECK(std::abs(along_samples) < 6 * 314.5);
}

TEST_CASE("Poisson counts fit their distribution at small and large rates, and a 2% wrong rate does not") {
  // 20 cells: 19 degrees of freedom, P(chi^2 > 66) = 4e-7 for each of 9 rates. At rate 9.99 and 10 the method
  // changes.
  for (double rate : {0.5, 3.0, 9.99, 10.0, 12.5, 100.0, 400.0, 1000.0, 12345.678}) {
    INFO("rate " << rate);
    const std::size_t cells = rate < 1 ? 5 : 20;
    CHECK(poisson_chi_squared(rate, rate, 400'000, cells) < 66);
    // Non-centrality 400000 * 0.02^2 * rate >= 480 from rate 3 on.
    if (rate >= 3) CHECK(poisson_chi_squared(rate, 1.02 * rate, 400'000, cells) > 66);
  }
}

TEST_CASE("huge Poisson rates: the excess has the right mean and variance") {
  for (double rate : {1e6, 1e12, 1e20, 1e38}) {
    INFO("rate " << rate);
    constexpr int kCount = 100'000;
    double m1 = 0, m2 = 0;
    for (std::uint64_t n = 0; n < kCount; ++n) {
      RandomStream random(78, random_stream::kTest, n);
      const double x = draw_poisson_excess(rate, random) / std::sqrt(rate);
      m1 += x / kCount;
      m2 += x * x / kCount;
    }
    // sd 1/sqrt(n) = 3.2e-3 and sqrt(2/n) = 4.5e-3; 6 sd each.
    CHECK(std::abs(m1) < 0.019);
    CHECK(std::abs(m2 - 1) < 0.027);
  }
}

TEST_CASE("a Poisson rate of zero never counts anything") {
  for (double rate : {0.0, 1e-300}) {
    RandomStream random(1, random_stream::kTest, 0);
    for (int i = 0; i < 100; ++i) CHECK(std::round(rate + draw_poisson_excess(rate, random)) == 0);
  }
}

TEST_CASE("log factorials equal lgamma") {
  for (double k : {0.0, 1.0, 2.0, 5.0, 9.0, 10.0, 11.0, 20.0, 170.0, 1e4, 1e9, 1e15})
    // lgamma itself is good to about 1e-15, the Stirling series to 1e-13.
    CHECK(std::abs(log_factorial(k) - std::lgamma(k + 1)) <= 1e-13 * std::lgamma(k + 1));
}
