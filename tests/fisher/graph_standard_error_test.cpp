// Standard errors of graphs by their definition.
#include <cmath>

#include "fisher/graph_cases.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/standard_error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

FisherOptions options_of(EstimatorKind kind) {
  FisherOptions options;
  options.estimator = {kind, 2, 5};
  options.standard_error = true;
  return options;
}

FisherDiagonal run(const Network& network, const Samples& samples, const FisherOptions& options,
                   int threads = 1, Isa isa = default_isa()) {
  const auto data = reference::to_dataset(samples);
  return compute_fisher(network, *data, options, Context(threads, isa));
}

/// The spread of the samples' own diagonals about their mean, in double.
Vector expected_errors(const Network& network, const Samples& samples, const Estimator& estimator) {
  const reference::Mlp mlp = reference::make_mlp(network);
  std::vector<Vector> each;
  for (std::size_t n = 0; n < samples.size(); ++n) {
    Samples one = samples;
    one.inputs.assign(samples.inputs.begin() + n * samples.features,
                      samples.inputs.begin() + (n + 1) * samples.features);
    one.targets.assign(samples.targets.begin() + n * samples.target_width,
                       samples.targets.begin() + (n + 1) * samples.target_width);
    each.push_back(
        reference::fisher_diagonal(mlp, one, estimator, Likelihood::Categorical, Normalization::Sum));
  }
  const auto count = static_cast<double>(each.size());
  Vector errors(each.front().size());
  for (std::size_t i = 0; i < errors.size(); ++i) {
    double mean = 0, squares = 0;
    for (const Vector& f : each) mean += f[i] / count;
    for (const Vector& f : each) squares += (f[i] - mean) * (f[i] - mean);
    errors[i] = std::sqrt(squares / (count - 1) / count);
  }
  return errors;
}

/// The largest normwise error of any tensor.
double worst_error(const FisherDiagonal& fisher, const Vector& expected) {
  REQUIRE(fisher.standard_errors().size() == expected.size());
  double worst = 0;
  for (const ParameterTensor& tensor : fisher.tensors()) {
    double difference = 0, size = 0;
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      difference += std::pow(static_cast<double>(fisher.standard_errors()[i]) - expected[i], 2);
      size += expected[i] * expected[i];
    }
    const double error = size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
    worst = error <= worst ? worst : error;
  }
  return worst;
}

}  // namespace

TEST_CASE("standard errors of every layer are those of the definition", "[fisher]") {
  for (const GraphCase& c : all_cases())
    for (const EstimatorKind kind :
         {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Predicted}) {
      CAPTURE(c.name, estimator_name(kind));
      const Network network = make_network(c.json, 3, 1.5F);
      const Samples samples = make_samples(network, 9, Likelihood::Categorical, 5);
      const FisherOptions options = options_of(kind);
      // The relative error of F's float sums, 1e-5, about twice, for squares, and over the variance's share
      // of them.
      REQUIRE(worst_error(run(network, samples, options),
                          expected_errors(network, samples, options.estimator)) <= 1e-4);
    }
}

TEST_CASE("every instruction set gives standard errors of every layer", "[fisher]") {
  for (const Isa isa : available_isas())
    for (const GraphCase& c : all_cases()) {
      CAPTURE(isa_name(isa), c.name);
      const Network network = make_network(c.json, 4, 1.5F);
      const Samples samples = make_samples(network, 5, Likelihood::Categorical, 6);
      const FisherOptions options = options_of(EstimatorKind::Exact);
      REQUIRE(worst_error(run(network, samples, options, 2, isa),
                          expected_errors(network, samples, options.estimator)) <= 1e-4);
    }
}

TEST_CASE("a graph's standard errors have the same bits for every number of threads and change no F",
          "[fisher]") {
  for (const GraphCase& c : all_cases())
    for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Sketch, EstimatorKind::Exact}) {
      CAPTURE(c.name, estimator_name(kind));
      const Network network = make_network(c.json, 3);
      const Samples samples = make_samples(network, 40, Likelihood::Categorical, 5);
      FisherOptions options = options_of(kind);
      const FisherDiagonal one = run(network, samples, options);
      for (const int threads : {2, 3, 7})
        CHECK(std::ranges::equal(run(network, samples, options, threads).standard_errors(),
                                 one.standard_errors()));
      options.standard_error = false;
      CHECK(run(network, samples, options, 2).sha256() == one.sha256());
    }
}

TEST_CASE("standard errors of seeds too many for one group", "[fisher]") {
  const Network network = make_network(R"({"sequence": [100, 4], "layers": [
      {"type": "linear", "name": "a", "out": 512}, {"type": "sequence_mean"},
      {"type": "linear", "name": "head", "out": 60}]})",
                                       3);
  const Samples samples = make_samples(network, 3, Likelihood::Categorical, 5);
  FisherOptions options = options_of(EstimatorKind::Exact);
  const auto data = reference::to_dataset(samples);
  FisherStatistics free;
  const FisherDiagonal fisher = compute_fisher(network, *data, options, Context(2), &free);
  CHECK(worst_error(fisher, expected_errors(network, samples, options.estimator)) <= 1e-4);
  options.max_memory_bytes = free.workspace_bytes;
  CHECK(compute_fisher(network, *data, options, Context(2)).sha256() == fisher.sha256());
  options.standard_error = false;
  // The same squares in chains of other lengths.
  CHECK(worst_tensor_error(run(network, samples, options), values_of(fisher)) <= 4e-6);
}

TEST_CASE("the memory of standard errors of a graph does not grow with samples", "[fisher]") {
  const Architecture architecture = Architecture::parse(image_cases().front().json);
  const FisherOptions options = options_of(EstimatorKind::Exact);
  const Context context(2);
  const std::size_t rows = choose_block_rows(architecture, options, 10'000, context);
  CHECK(fisher_memory(architecture, options, 10'000, rows, context) ==
        fisher_memory(architecture, options, 100'000'000, rows, context));
}
