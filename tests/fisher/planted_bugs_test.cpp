// The mistakes that published Fisher code has made, planted into the reference: each must be far outside the
// tolerance (or the statistics) that the library itself meets, or the tests would not notice it.
#include "fisher/outcomes.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr double kTolerance = 1e-5;
constexpr double kFarOutside = 100 * kTolerance;
constexpr std::size_t kCount = 77;
constexpr std::size_t kDraws = 512;

struct Fixture {
  Network network = make_network("mlp:8-7-5:tanh", 3, 3);
  reference::Mlp mlp = reference::make_mlp(network);
  Samples samples = make_samples(network, kCount, Likelihood::Categorical, 4);

  Vector right(const Estimator& estimator) const {
    return reference::fisher_diagonal(mlp, samples, estimator, Likelihood::Categorical, Normalization::Mean);
  }
  Vector library(const Estimator& estimator) const { return values_of(compute(network, samples, estimator)); }

  Vector gradient_at(std::size_t n, std::size_t label) const {
    const Vector x = samples.input(n);
    return reference::gradient(mlp, x,
                               reference::nll_gradient(Likelihood::Categorical, reference::forward(mlp, x),
                                                       {static_cast<double>(label)}));
  }
  Vector probabilities(std::size_t n) const {
    return reference::softmax(reference::forward(mlp, samples.input(n)));
  }

  /// Mean over samples of sum_c weight(n, c) * (gradient at label c)^2.
  template <class Weight>
  Vector weighted_labels(const Weight& weight) const {
    Vector sum(mlp.parameters.size(), 0.0);
    for (std::size_t n = 0; n < kCount; ++n)
      for (std::size_t c = 0; c < mlp.outputs(); ++c) {
        const double w = weight(n, c) / static_cast<double>(kCount);
        if (w == 0) continue;
        const Vector g = gradient_at(n, c);
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += w * g[i] * g[i];
      }
    return sum;
  }

  std::size_t most_probable(std::size_t n) const {
    const Vector p = probabilities(n);
    return static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
  }

  Scalars mc_scalars() const {
    Scalars scalars(20, mlp.parameters.size(), 5);
    for (std::size_t n = 0; n < kCount; ++n) {
      const Vector x = samples.input(n);
      scalars.expect(mlp, x, mc_outcomes(Likelihood::Categorical, reference::forward(mlp, x)), kCount,
                     kDraws);
    }
    return scalars;
  }
};

}  // namespace

TEST_CASE("planted: the gradient of the batch mean, squared") {
  const Fixture f;
  Vector mean(f.mlp.parameters.size(), 0.0);
  for (std::size_t n = 0; n < kCount; ++n) {
    const Vector g = f.gradient_at(n, static_cast<std::size_t>(f.samples.target(n)[0]));
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += g[i] / kCount;
  }
  for (double& value : mean) value *= value;
  const Vector library = f.library({EstimatorKind::Empirical});
  CHECK(reference::relative_error(library, f.right({EstimatorKind::Empirical})) <= kTolerance);
  CHECK(reference::relative_error(library, mean) > kFarOutside);
  // Which is what `batched` with one batch is for.
  CHECK(reference::relative_error(f.library({EstimatorKind::Batched, 1, 1, kCount}), mean) <= kTolerance);
}

TEST_CASE("planted: divided by the number of samples twice, or not at all") {
  const Fixture f;
  const Vector library = f.library({EstimatorKind::Exact});
  for (double factor : {1.0 / kCount, double{kCount}, kCount / (kCount - 1.0)}) {
    Vector wrong = f.right({EstimatorKind::Exact});
    for (double& value : wrong) value *= factor;
    CHECK(reference::relative_error(library, wrong) > kFarOutside);
  }
}

TEST_CASE("planted: a class is missing from the expectation") {
  const Fixture f;
  const Vector library = f.library({EstimatorKind::Exact});
  CHECK(reference::relative_error(library, f.right({EstimatorKind::Exact})) <= kTolerance);
  for (std::size_t missing = 0; missing < 5; ++missing) {
    const Vector wrong = f.weighted_labels(
        [&](std::size_t n, std::size_t c) { return c == missing ? 0.0 : f.probabilities(n)[c]; });
    CHECK(reference::relative_error(library, wrong) > kFarOutside);
  }
}

TEST_CASE("planted: the covariance of the softmax taken as diag(p), without - p p^T") {
  const Fixture f;
  Vector wrong(f.mlp.parameters.size(), 0.0);
  for (std::size_t n = 0; n < kCount; ++n)
    for (std::size_t c = 0; c < 5; ++c) {
      Vector unit(5, 0.0);
      unit[c] = std::sqrt(f.probabilities(n)[c]);
      const Vector g = reference::gradient(f.mlp, f.samples.input(n), unit);
      for (std::size_t i = 0; i < wrong.size(); ++i) wrong[i] += g[i] * g[i] / kCount;
    }
  CHECK(reference::relative_error(f.library({EstimatorKind::Exact}), wrong) > kFarOutside);
}

TEST_CASE("planted: estimators interchanged") {
  const Fixture f;
  const std::vector<Estimator> estimators{
      {EstimatorKind::Empirical},    {EstimatorKind::Exact},     {EstimatorKind::MonteCarlo, 4, 1},
      {EstimatorKind::Sketch, 4, 1}, {EstimatorKind::Predicted}, {EstimatorKind::Batched, 1, 1, 8}};
  for (const Estimator& a : estimators)
    for (const Estimator& b : estimators) {
      INFO(std::string(estimator_name(a.kind)) << " for " << std::string(estimator_name(b.kind)));
      const double error = reference::relative_error(f.library(a), f.right(b));
      if (a.kind == b.kind)
        CHECK(error <= kTolerance);
      else
        CHECK(error > kFarOutside);
    }
}

TEST_CASE("planted: argmax or uniform labels instead of labels drawn from the model") {
  const Fixture f;
  const Scalars scalars = f.mc_scalars();
  CHECK(largest(scalars.z_scores(f.library({EstimatorKind::MonteCarlo, kDraws, 8}))) < 6);
  const Vector argmax =
      f.weighted_labels([&](std::size_t n, std::size_t c) { return c == f.most_probable(n) ? 1.0 : 0.0; });
  CHECK(largest(scalars.z_scores(argmax)) > 60);
  const Vector uniform = f.weighted_labels([](std::size_t, std::size_t) { return 0.2; });
  CHECK(largest(scalars.z_scores(uniform)) > 60);
  const Vector data_labels = f.right({EstimatorKind::Empirical});
  CHECK(largest(scalars.z_scores(data_labels)) > 60);
}

TEST_CASE("planted: draws keyed by the neighbouring sample or by another seed") {
  const Fixture f;
  const Estimator estimator{EstimatorKind::MonteCarlo, 2, 9};
  const Vector library = f.library(estimator);
  CHECK(reference::relative_error(library, f.right(estimator)) <= kTolerance);
  Vector shifted(f.mlp.parameters.size(), 0.0);
  for (std::size_t n = 0; n < kCount; ++n) {
    const Vector x = f.samples.input(n);
    for (const Vector& seed : reference::drawn_gradients(Likelihood::Categorical,
                                                         reference::forward(f.mlp, x), estimator, n + 1)) {
      const Vector g = reference::gradient(f.mlp, x, seed);
      for (std::size_t i = 0; i < shifted.size(); ++i) shifted[i] += g[i] * g[i] / (2 * kCount);
    }
  }
  CHECK(reference::relative_error(library, shifted) > kFarOutside);
  CHECK(reference::relative_error(library, f.right({EstimatorKind::MonteCarlo, 2, 10})) > kFarOutside);
}

TEST_CASE("planted: the last, shorter batch weighted as a whole one, or dropped") {
  const Fixture f;
  const Estimator estimator{EstimatorKind::Batched, 1, 1, 16};  // 4 batches of 16 and one of 13
  const Vector library = f.library(estimator);
  CHECK(reference::relative_error(library, f.right(estimator)) <= kTolerance);

  const Vector sum =
      reference::fisher_diagonal(f.mlp, f.samples, estimator, Likelihood::Categorical, Normalization::Sum);
  Samples whole = f.samples;
  whole.inputs.resize(64 * 8);
  whole.targets.resize(64);
  const Vector whole_sum =
      reference::fisher_diagonal(f.mlp, whole, estimator, Likelihood::Categorical, Normalization::Sum);
  Vector as_whole(sum.size()), dropped(sum.size()), one_too_few(sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) {
    as_whole[i] = (whole_sum[i] + (sum[i] - whole_sum[i]) * std::pow(13.0 / 16, 2)) / 5;
    dropped[i] = whole_sum[i] / 4;
    one_too_few[i] = sum[i] / 4;
  }
  for (const Vector& wrong : {as_whole, dropped, one_too_few})
    CHECK(reference::relative_error(library, wrong) > kFarOutside);
}

TEST_CASE("planted: squares back-propagated instead of back-propagating and squaring") {
  // |W|-weighted squares instead of the square of W^T d: wrong wherever a layer is below another.
  const Fixture f;
  Vector wrong = f.right({EstimatorKind::Empirical});
  const std::size_t hidden = 7, inputs = 8, outputs = 5;
  std::fill(wrong.begin(), wrong.begin() + hidden * inputs, 0.0);
  for (std::size_t n = 0; n < kCount; ++n) {
    const Vector x = f.samples.input(n);
    const Vector g = f.gradient_at(n, static_cast<std::size_t>(f.samples.target(n)[0]));
    for (std::size_t h = 0; h < hidden; ++h) {
      const reference::Layer& top = f.mlp.layers[1];
      // g of the hidden bias is (sum_o d_o W_oh) f'; f' follows from it.
      double back = 0, squares = 0;
      for (std::size_t o = 0; o < outputs; ++o) {
        const double term = g[top.bias_offset + o] * f.mlp.parameters[top.weight_offset + o * hidden + h];
        back += term;
        squares += term * term;
      }
      const double slope = g[f.mlp.layers[0].bias_offset + h] / back;
      for (std::size_t i = 0; i < inputs; ++i)
        wrong[h * inputs + i] += squares * slope * slope * x[i] * x[i] / kCount;
    }
  }
  CHECK(reference::relative_error(f.library({EstimatorKind::Empirical}), wrong) > kFarOutside);
}
