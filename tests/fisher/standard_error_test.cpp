#include "fisherdiag/fisher/standard_error.hpp"

#include <cmath>
#include <limits>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/temporary_folder.hpp"

using namespace fisherdiag;

namespace {

struct Job {
  explicit Job(const std::string& architecture, std::size_t count,
               Likelihood likelihood = Likelihood::Categorical)
      : network(test::make_network(architecture, 3)),
        samples(test::make_samples(network, count, likelihood, 4)) {
    options.likelihood = likelihood;
    options.standard_error = true;
  }

  FisherDiagonal run(int threads = 1, Isa isa = default_isa()) const {
    const auto data = reference::to_dataset(samples);
    return compute_fisher(network, *data, options, Context(threads, isa));
  }
  /// By the definition, in double: the spread of the samples' own diagonals about their mean.
  reference::Vector expected() const {
    const reference::Mlp mlp = reference::make_mlp(network);
    std::vector<reference::Vector> each;
    for (std::size_t n = 0; n < samples.size(); ++n)
      each.push_back(reference::sample_diagonal(mlp, samples, n, options.estimator, options.likelihood));
    const auto count = static_cast<double>(each.size());
    reference::Vector errors(each.front().size());
    for (std::size_t i = 0; i < errors.size(); ++i) {
      double mean = 0, squares = 0;
      for (const reference::Vector& f : each) mean += f[i] / count;
      for (const reference::Vector& f : each) squares += (f[i] - mean) * (f[i] - mean);
      errors[i] = std::sqrt(squares / (count - 1) / count);
      if (options.normalization == Normalization::Sum) errors[i] *= count;
    }
    return errors;
  }

  Network network;
  test::Samples samples;
  FisherOptions options;
};

reference::Vector errors_of(const FisherDiagonal& fisher) {
  return {fisher.standard_errors().begin(), fisher.standard_errors().end()};
}

}  // namespace

TEST_CASE("standard errors are those of the definition") {
  // The relative error of F's float sums, 1e-5, about twice, for squares, and over the variance's share of
  // them.
  constexpr double kTolerance = 1e-4;
  for (const char* architecture : {"mlp:5-7-3", "mlp:20-70-33-4:tanh"})
    for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Predicted,
                                     EstimatorKind::MonteCarlo, EstimatorKind::Sketch}) {
      Job job(architecture, 83);
      job.options.estimator = {kind, 3, 7, 128};
      CHECK(reference::relative_error(errors_of(job.run()), job.expected()) < kTolerance);
      job.options.normalization = Normalization::Sum;
      CHECK(reference::relative_error(errors_of(job.run()), job.expected()) < kTolerance);
    }
  for (const Likelihood likelihood : {Likelihood::Gaussian, Likelihood::Bernoulli, Likelihood::Poisson})
    for (const EstimatorKind kind :
         {EstimatorKind::Empirical, EstimatorKind::MonteCarlo, EstimatorKind::Sketch}) {
      Job job("mlp:5-7-3", 40, likelihood);
      job.options.estimator = {kind, 2, 7, 128};
      // Every sample's term of an output's bias is 1 then: of a spread of 0 the root of a rounding remains.
      const bool constant = likelihood == Likelihood::Gaussian && kind == EstimatorKind::Sketch;
      CHECK(reference::relative_error(errors_of(job.run()), job.expected()) <
            (constant ? 0x1p-11 : kTolerance));
    }
}

TEST_CASE(
    "standard errors have the same bits for every number of threads and memory bound, and change no F") {
  for (const EstimatorKind kind :
       {EstimatorKind::Empirical, EstimatorKind::MonteCarlo, EstimatorKind::Sketch})
    for (const char* architecture : {"mlp:6-7-3", "mlp:90-300-10"}) {
      Job job(architecture, 1800);
      job.options.estimator = {kind, 2, 5, 128};
      const FisherDiagonal one = job.run();
      CHECK(one.standard_errors().size() == one.values().size());
      for (const int threads : {2, 3, 7}) CHECK(errors_of(job.run(threads)) == errors_of(one));
      job.options.standard_error = false;
      CHECK(job.run(2).sha256() == one.sha256());
      CHECK(job.run().standard_errors().empty());
    }
}

TEST_CASE("every instruction set gives standard errors") {
  const Job job("mlp:20-37-4", 60);
  for (const Isa isa : available_isas())
    CHECK(reference::relative_error(errors_of(job.run(1, isa)), job.expected()) < 1e-4);
}

TEST_CASE("a uniform subset has the standard error of its samples") {
  Job job("mlp:5-7-3", 500);
  job.options.subset = {SubsetKind::Uniform, 100};
  const double ratio = median_relative_error(job.run().values(), job.run().standard_errors());
  job.options.subset = {};
  const double whole = median_relative_error(job.run().values(), job.run().standard_errors());
  CHECK(ratio > 1.5 * whole);  // sqrt(5) = 2.2 on average
  CHECK(ratio < 3.5 * whole);
}

TEST_CASE("a file holds standard errors beside what it held") {
  const testing::TemporaryFolder folder;
  const FisherDiagonal fisher = Job("mlp:5-7-3", 30).run();
  fisher.save(folder.path() / "F");
  const FisherDiagonal loaded = FisherDiagonal::load(folder.path() / "F");
  CHECK(loaded.sha256() == fisher.sha256());
  CHECK(errors_of(loaded) == errors_of(fisher));
  CHECK(loaded.tensors().size() == 4);
  const SafetensorsFile file(folder.path() / "F");
  CHECK(file.tensors().size() == 8);
  REQUIRE(file.find("0.weight.standard_error"));
  CHECK(file.find("0.weight.standard_error")->shape == std::vector<std::size_t>{7, 5});
}

TEST_CASE("a file that promises standard errors has them all") {
  const testing::TemporaryFolder folder;
  const std::vector<float> values = {1, 2};
  const std::vector<TensorView> views = {{"w", {2}, values}, {"w.standard_error", {1, 2}, values}};
  write_safetensors(folder.path() / "F", views, {{"standard_error", "yes"}});
  CHECK(test::contains(test::message_of<DataError>([&] { FisherDiagonal::load(folder.path() / "F"); }),
                       "'w' has no standard errors of its shape"));
  write_safetensors(folder.path() / "F", views, {});
  CHECK(FisherDiagonal::load(folder.path() / "F").tensors().size() == 2);
}

TEST_CASE("standard errors that cannot be had are refused with the reason") {
  Job job("mlp:5-7-3", 30);
  const auto complaint = [](const Job& changed) {
    return test::message_of<ArgumentError>([&] { changed.run(); });
  };
  job.options.estimator.kind = EstimatorKind::Batched;
  CHECK(test::contains(complaint(job), "no standard errors with estimator batched"));
  job = Job("mlp:5-7-3", 30);
  job.options.checkpoint = CheckpointRequest{"F.ckpt", 1, false};
  CHECK(test::contains(complaint(job), "no standard errors with a checkpoint"));
  job = Job("mlp:5-7-3", 30);
  job.options.subset = {SubsetKind::Importance, 20};
  CHECK(test::contains(complaint(job), "no standard errors with an importance subset"));
  CHECK(test::contains(complaint(Job("mlp:5-7-3", 1)), "at least 2 samples"));
}

TEST_CASE("squares beyond a float are refused, naming the element") {
  const std::vector<ParameterTensor> tensors = {{"w", {2}, 0, 2}};
  const std::vector<double> sum = {1, 2}, squares = {1, std::numeric_limits<double>::infinity()};
  CHECK(test::contains(test::message_of<DataError>([&] { standard_errors(tensors, sum, squares, 5, 0.2); }),
                       "element 1 of 'w' is beyond float"));
}
