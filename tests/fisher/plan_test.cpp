#include "fisherdiag/fisher/plan.hpp"

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/plan_calibration.hpp"
#include "fisherdiag/fisher/sample_scores.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinRel;

namespace {

PlanRequest request(std::size_t samples) {
  PlanRequest result;
  result.samples = samples;
  result.threads = {1, 2, 4, 1024};
  return result;
}

FisherPlan plan(const FisherOptions& options, std::size_t samples, std::size_t base_bytes = 0) {
  PlanRequest wanted = request(samples);
  wanted.base_bytes = base_bytes;
  return plan_fisher(Architecture::parse("mlp:40-30-5"), wanted, options, Context(2));
}

}  // namespace

TEST_CASE("a plan has the work, the block and the memory of the pass") {
  const Architecture architecture = Architecture::parse("mlp:40-30-5");
  const Context context(2);
  FisherOptions options;
  options.estimator = {EstimatorKind::Exact};
  const FisherPlan result = plan(options, 100000, 1 << 20);
  CHECK(result.samples == 100000);
  CHECK(result.flops ==
        100000 * fisher_flops_per_sample(architecture, options.estimator, options.likelihood));
  CHECK(result.block_rows == choose_block_rows(architecture, options, 100000, context));
  options.read_ahead = context.threads() < default_threads();
  CHECK(result.peak_bytes == (1 << 20) + aligned_bytes(4 * architecture.parameter_count()) +
                                 touched_memory(context) +
                                 fisher_memory(architecture, options, 100000, result.block_rows, context));
  CHECK(result.fixed_seconds > 0);
  CHECK(result.fixed_seconds < result.seconds);
  CHECK_FALSE(result.narrowed);
}

TEST_CASE("more threads are Amdahl's law down to the serial part") {
  const FisherPlan result = plan({}, 1000000);
  REQUIRE(result.scaling.size() == 4);
  for (std::size_t i = 1; i < 4; ++i) {
    CHECK(result.scaling[i].seconds <= result.scaling[i - 1].seconds);
    CHECK(result.scaling[i].seconds >= result.fixed_seconds);
  }
  // The context's own two threads: the same sum in another order.
  CHECK_THAT(result.scaling[1].seconds, WithinRel(result.seconds, 1e-12));
  CHECK_THAT(result.scaling[0].seconds - result.fixed_seconds,
             WithinRel(2 * (result.seconds - result.fixed_seconds), 1e-9));
  CHECK(result.scaling[3].limit != PlanLimit::Compute);
}

TEST_CASE("subsets take fewer samples, importance looks at all") {
  const Architecture architecture = Architecture::parse("mlp:40-30-5");
  FisherOptions options;
  options.max_samples = 700;
  CHECK(plan(options, 20000).samples == 700);
  CHECK(plan(options, 500).samples == 500);
  options.max_samples.reset();
  options.subset = {SubsetKind::Importance, 700};
  const FisherPlan result = plan(options, 20000);
  CHECK(result.samples == 700);
  CHECK(result.scored_samples == 20000);
  CHECK_THAT(result.flops,
             WithinRel(700 * fisher_flops_per_sample(architecture, {}, Likelihood::Categorical) +
                           20000 * score_flops_per_sample(architecture),
                       1e-12));
}

TEST_CASE("every likelihood and estimator has a plan") {
  for (Likelihood likelihood :
       {Likelihood::Categorical, Likelihood::Gaussian, Likelihood::Bernoulli, Likelihood::Poisson})
    for (EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::MonteCarlo, EstimatorKind::Batched}) {
      FisherOptions options;
      options.likelihood = likelihood;
      options.estimator = {kind};
      CHECK(plan_fisher(Architecture::parse("mlp:6-5-3"), request(100), options, Context(1)).seconds > 0);
    }
}

TEST_CASE("what cannot run has no plan") {
  CHECK_THROWS_AS(plan({}, 0), ArgumentError);
  FisherOptions options;
  options.max_memory_bytes = 1000;
  CHECK_THROWS_AS(plan(options, 100), ArgumentError);
  options = {};
  options.likelihood = Likelihood::Gaussian;
  options.estimator = {EstimatorKind::Predicted};
  CHECK_THROWS_AS(plan(options, 100), ArgumentError);
}

TEST_CASE("a narrowed network keeps its outputs, names and proportions") {
  const Architecture architecture = Architecture::parse("mlp:4000-2000-1000-10:tanh");
  const Architecture narrowed = narrow(architecture, architecture.parameter_count() / 100);
  // A tenth of every width but the ten outputs.
  CHECK(narrowed.layers()[0].inputs == 400);
  CHECK(narrowed.layers()[0].outputs == 200);
  CHECK(narrowed.layers()[2].inputs == 100);
  CHECK(narrowed.outputs() == 10);
  CHECK(narrowed.layers()[1].activation == Activation::Tanh);
}

TEST_CASE("bytes moved: strips always, weights and sums once they leave the cache") {
  const Architecture architecture = Architecture::parse("mlp:1000-500-10");
  const double n = 5120, strips = 4 * (1000 + 500 + 500 + 10), inputs = 4 * 1000;
  const auto bytes = [&](std::size_t cache) {
    return fisher_bytes_moved(architecture, {}, static_cast<std::size_t>(n), cache);
  };
  // Whole numbers below 2^53.
  CHECK(bytes(std::size_t{1} << 30) == n * (inputs + 2 * strips));
  const double sums = 8.0 * static_cast<double>(architecture.parameter_count());
  const double weights = 4.0 * (1000 * 500 + 2 * 500 * 10);
  CHECK(bytes(3 << 20) == n * (inputs + 2 * strips) + n / 512 * 2 * sums);
  CHECK(bytes(1 << 20) == n * (inputs + 2 * strips) + n / 512 * 2 * sums + n / 128 * weights);
}
