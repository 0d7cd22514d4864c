#include <cmath>

#include "fisher/sequence_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

constexpr std::size_t kPositions = 3, kClasses = 3;

const std::string kTied = tied_model(kPositions, kClasses);
const std::string kNumbers = number_model(kPositions, 4, 5, kClasses);

const std::vector<EstimatorKind> kKinds{EstimatorKind::Empirical,  EstimatorKind::Exact,
                                        EstimatorKind::MonteCarlo, EstimatorKind::Sketch,
                                        EstimatorKind::Predicted,  EstimatorKind::Batched};

Estimator estimator_of(EstimatorKind kind, LikelihoodUnit unit) {
  return {.kind = kind, .draws = 2, .seed = 4, .batch_size = 3, .unit = unit};
}

}  // namespace

TEST_CASE("every estimator of sequences and of tokens gives the diagonal of the definition", "[fisher]") {
  for (const std::string& json : {kTied, kNumbers})
    for (const std::size_t ignored : {0, 3}) {
      const Network network = make_network(json, 3, 1.5F);
      const Samples samples = sequences_of(network, 11, ignored);
      for (const LikelihoodUnit unit : {LikelihoodUnit::Sequence, LikelihoodUnit::Token})
        for (const EstimatorKind kind : kKinds) {
          if (kind == EstimatorKind::Batched && unit == LikelihoodUnit::Token) continue;
          CAPTURE(json, ignored, likelihood_unit_name(unit), estimator_name(kind));
          const Estimator estimator = estimator_of(kind, unit);
          const Vector expected =
              reference::sequence_diagonal(reference::make_mlp(network), samples, kPositions, estimator);
          // Sensitivities have a relative error of about 1e-6, their squares twice that.
          REQUIRE(worst_tensor_error(compute(network, samples, estimator), expected) <= 1e-5);
        }
    }
}

TEST_CASE("the likelihood of tokens is another quantity than that of sequences, but not for exact",
          "[fisher]") {
  const Network network = make_network(kTied, 3);
  const Samples samples = sequences_of(network, 20, 0);
  const auto both = [&](EstimatorKind kind) {
    const Vector tokens = values_of(compute(network, samples, estimator_of(kind, LikelihoodUnit::Token)));
    return reference::relative_error(
        values_of(compute(network, samples, estimator_of(kind, LikelihoodUnit::Sequence))), tokens);
  };
  CHECK(both(EstimatorKind::Empirical) >= 0.1);
  CHECK(both(EstimatorKind::Exact) <= 1e-6);
}

TEST_CASE("mc and sketch of sequences are unbiased for exact", "[fisher]") {
  const Network network = make_network(kTied, 3, 0.4F);  // timid: draws differ
  const Samples samples = sequences_of(network, 4, 0);
  const double exact = compute(network, samples, {EstimatorKind::Exact}).trace();
  for (const EstimatorKind kind : {EstimatorKind::MonteCarlo, EstimatorKind::Sketch})
    for (const LikelihoodUnit unit : {LikelihoodUnit::Sequence, LikelihoodUnit::Token}) {
      CAPTURE(estimator_name(kind), likelihood_unit_name(unit));
      std::vector<double> traces;
      double mean = 0, variance = 0;
      for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        Estimator estimator = estimator_of(kind, unit);
        estimator.draws = 8;
        estimator.seed = seed;
        traces.push_back(compute(network, samples, estimator).trace());
        mean += traces.back() / 40;
      }
      for (const double trace : traces) variance += (trace - mean) * (trace - mean) / 39;
      // Four standard errors: a right estimator fails once in 16,000. Draws that are the same at every
      // position would be off by far more, their cross terms being of the size of the trace.
      CHECK(std::abs(mean - exact) <= 4 * std::sqrt(variance / 40));
      CHECK(std::sqrt(variance / 40) <= 0.1 * exact);
    }
}

TEST_CASE("values at the positions of a sequence have a likelihood too", "[fisher]") {
  const Network network = make_network(kNumbers, 3);
  Samples samples = sequences_of(network, 6, 0);
  samples.target_width = kPositions * kClasses;
  samples.targets.clear();
  for (std::size_t i = 0; i < samples.size() * samples.target_width; ++i)
    samples.targets.push_back(static_cast<float>(i % 5) - 2);
  // With one variance for all outputs the positions' outputs are just more outputs.
  const Vector expected = reference::fisher_diagonal(reference::make_mlp(network), samples, {},
                                                     Likelihood::Gaussian, Normalization::Mean);
  CHECK(worst_tensor_error(compute(network, samples, {}, Likelihood::Gaussian), expected) <= 1e-5);
}

TEST_CASE("the diagonal of sequences has the same bits for every number of threads and memory bound",
          "[fisher]") {
  const Network network = make_network(kTied, 3);
  const Samples samples = sequences_of(network, 300, 5);
  const auto data = reference::to_dataset(samples);
  for (const EstimatorKind kind :
       {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::MonteCarlo}) {
    CAPTURE(estimator_name(kind));
    std::vector<std::string> digests;
    for (const int threads : {1, 2, 3, 7}) {
      FisherOptions options;
      options.estimator = estimator_of(kind, LikelihoodUnit::Sequence);
      const Context context(threads);
      digests.push_back(compute_fisher(network, *data, options, context).sha256());
      const std::size_t least = pass_chain_rows(network.architecture(), options, context);
      options.max_memory_bytes =
          fisher_memory(network.architecture(), options, samples.size(), least, context);
      digests.push_back(compute_fisher(network, *data, options, context).sha256());
    }
    for (const std::string& digest : digests) CHECK(digest == digests.front());
  }
}

TEST_CASE("the metadata says of what the likelihood was", "[fisher]") {
  const Network network = make_network(kTied, 3);
  const Samples samples = sequences_of(network, 3, 0);
  const FisherMetadata tokens =
      compute(network, samples, estimator_of(EstimatorKind::Empirical, LikelihoodUnit::Token)).metadata();
  CHECK(tokens.to_strings().at("likelihood_unit") == "token");
  CHECK(FisherMetadata::from_strings(tokens.to_strings()).estimator.unit == LikelihoodUnit::Token);
  CHECK(compute(network, samples, {}).metadata().to_strings().at("likelihood_unit") == "sequence");
}

TEST_CASE("a likelihood of sequences that makes no sense is refused", "[fisher]") {
  const Network network = make_network(kTied, 3);
  Samples samples = sequences_of(network, 5, 0);
  const Estimator batched = estimator_of(EstimatorKind::Batched, LikelihoodUnit::Token);
  CHECK(contains(message_of<ArgumentError>([&] { compute(network, samples, batched); }),
                 "'batched' adds gradients before it squares them"));
  samples.targets[2 * kPositions + 1] = 3;
  CHECK(contains(message_of<DataError>([&] { compute(network, samples, {}); }), "sample 2"));
  samples.target_width = 1;
  samples.targets.resize(5);
  CHECK(contains(message_of<ArgumentError>([&] { compute(network, samples, {}); }),
                 "needs one class label for each of 3 positions of each sample"));
  const Network flat = make_network("mlp:4-3", 1);
  CHECK(contains(message_of<ArgumentError>([&] {
                   compute(flat, make_samples(flat, 3, Likelihood::Categorical, 1),
                           estimator_of(EstimatorKind::Empirical, LikelihoodUnit::Token));
                 }),
                 "needs a network with an output at each position"));
}
