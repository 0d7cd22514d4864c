#include <cmath>

#include "fisher/graph_cases.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

Vector expected_diagonal(const Network& network, const Samples& samples, const Estimator& estimator) {
  return reference::fisher_diagonal(reference::make_mlp(network), samples, estimator, Likelihood::Categorical,
                                    Normalization::Mean);
}

/// A tensor none of whose rows was used has a diagonal of zero, where a relative error says nothing.
bool zero_where_expected(const FisherDiagonal& fisher, const Vector& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (expected[i] == 0 && fisher.values()[i] != 0) return false;
  return true;
}

}  // namespace

TEST_CASE("every layer of sequences with every estimator gives the diagonal of the definition", "[fisher]") {
  for (const GraphCase& c : sequence_cases()) {
    const Network network = make_network(c.json, 3, 1.5F);
    const Samples samples = make_samples(network, 11, Likelihood::Categorical, 5);
    for (const EstimatorKind kind : kAllKinds) {
      CAPTURE(c.name, estimator_name(kind));
      const Vector expected = expected_diagonal(network, samples, estimator_of(kind));
      const FisherDiagonal fisher = compute(network, samples, estimator_of(kind));
      // Sensitivities have a relative error of about 1e-6, their squares twice that.
      REQUIRE(worst_tensor_error(fisher, expected) <= 1e-5);
      REQUIRE(zero_where_expected(fisher, expected));
    }
  }
}

TEST_CASE("every layer of sequences is right at every instruction-set level", "[fisher]") {
  for (const Isa isa : available_isas())
    for (const GraphCase& c : sequence_cases()) {
      CAPTURE(isa_name(isa), c.name);
      const Network network = make_network(c.json, 4, 1.5F);
      const Samples samples = make_samples(network, 5, Likelihood::Categorical, 6);
      const Vector expected = expected_diagonal(network, samples, {});
      REQUIRE(worst_tensor_error(compute(network, samples, {}, Likelihood::Categorical, isa), expected) <=
              1e-5);
    }
}

TEST_CASE("the reference's gradients of sequences are those of central differences", "[fisher]") {
  for (const GraphCase& c : sequence_cases()) {
    CAPTURE(c.name);
    const Network network = make_network(c.json, 7, 1);
    reference::Mlp mlp = reference::make_mlp(network);
    const Vector x = make_samples(network, 1, Likelihood::Categorical, 8).input(0);
    const Vector seed{0.7, -0.4, 0.2};
    const Vector gradient = reference::gradient(mlp, x, seed);
    double largest = 0;
    for (const double g : gradient) largest = std::max(largest, std::abs(g));
    const auto dot = [&] {
      const Vector z = reference::forward(mlp, x);
      return seed[0] * z[0] + seed[1] * z[1] + seed[2] * z[2];
    };
    // The row of padding takes part in the forward pass but has no gradient by definition.
    const std::size_t first =
        contains(c.json, "padding_idx") ? network.architecture().parameters()[0].shape[1] : 0;
    for (std::size_t p = first; p < gradient.size(); p += 1 + gradient.size() / 60) {
      constexpr double kStep = 1e-5;  // error h^2 and 1e-16 / h: about 1e-10
      const double before = mlp.parameters[p];
      mlp.parameters[p] = before + kStep;
      const double up = dot();
      mlp.parameters[p] = before - kStep;
      const double down = dot();
      mlp.parameters[p] = before;
      REQUIRE(std::abs((up - down) / (2 * kStep) - gradient[p]) <= 1e-6 * largest);
    }
  }
}

TEST_CASE("a token that occurs twice in a sequence is summed before it is squared", "[fisher]") {
  const Network network = make_network(sequence("[2]", std::string(R"({"type": "embedding", "name": "table",
      "tokens": 3, "out": 4},)") + kGraphHead),
                                       3);
  Samples samples = make_samples(network, 4, Likelihood::Categorical, 5);
  std::ranges::fill(samples.inputs, 1.f);
  const Vector computed = values_of(compute(network, samples, {}));
  const reference::Mlp mlp = reference::make_mlp(network);
  double summed = 0, apart = 0;  // of element 0 of token 1
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const Vector x = samples.input(n);
    const Vector s =
        reference::nll_gradient(Likelihood::Categorical, reference::forward(mlp, x), samples.target(n));
    Vector g(2, 0.0);
    for (std::size_t t = 0; t < 2; ++t)
      for (std::size_t o = 0; o < 3; ++o) g[t] += s[o] * mlp.parameters[12 + o * 8 + t * 4];
    summed += (g[0] + g[1]) * (g[0] + g[1]) / 4;
    apart += (g[0] * g[0] + g[1] * g[1]) / 4;
  }
  CHECK(std::abs(computed[4] - summed) <= 1e-5 * summed);
  CHECK(std::abs(computed[4] - apart) >= 0.1 * apart);
}

TEST_CASE("a sequence's diagonal has the same bits for every number of threads and memory bound",
          "[fisher]") {
  const Network network = make_network(sequence_cases()[6].json, 3);
  const Samples samples = make_samples(network, 700, Likelihood::Categorical, 5);
  const auto data = reference::to_dataset(samples);
  for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::Batched}) {
    CAPTURE(estimator_name(kind));
    std::vector<std::string> digests;
    for (const int threads : {1, 2, 3, 7}) {
      FisherOptions options;
      options.estimator = estimator_of(kind);
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

TEST_CASE("a sequence that is all padding has gradients of zero before the last layer", "[fisher]") {
  const Network network = make_network(sequence_cases()[sequence_cases().size() - 2].json, 3);
  Samples samples = make_samples(network, 1, Likelihood::Categorical, 5);
  std::ranges::fill(samples.inputs, 0.f);
  const FisherDiagonal fisher = compute(network, samples, {});
  double before = 0, last = 0;
  for (const ParameterTensor& tensor : fisher.tensors())
    for (std::size_t i = 0; i < tensor.size; ++i)
      (tensor.name == "head.bias" ? last : before) += static_cast<double>(fisher.values()[tensor.offset + i]);
  CHECK(before == 0);
  CHECK(last > 0);
}

TEST_CASE("a token outside the vocabulary is an error that names its sample", "[fisher]") {
  const Network network = make_network(sequence_cases()[4].json, 3);
  for (const float bad : {6.f, -1.f, 1.5f}) {
    Samples samples = make_samples(network, 20, Likelihood::Categorical, 5);
    samples.inputs[17 * 9 + 3] = bad;
    const std::string message = message_of<DataError>([&] { compute(network, samples, {}); });
    CHECK(message.find("sample 17: position 3") != std::string::npos);
    CHECK(message.find("'table' takes token ids from 0 to 5") != std::string::npos);
  }
}

TEST_CASE("layers of sequences refuse what does not fit them", "[fisher]") {
  const auto message = [](const std::string& json) {
    return message_of<FormatError>([&] { Architecture::parse(json); });
  };
  const std::string embedding = R"({"type": "embedding", "name": "e", "tokens": 5, "out": 4})";
  CHECK(message(sequence("[4, 2]", embedding)).find("'e' (embedding): takes a sequence of token ids") !=
        std::string::npos);
  CHECK(message(sequence("[4, 1]", R"({"type": "tanh"}, )" + embedding))
            .find("only the network's input holds") != std::string::npos);
  CHECK(
      message(sequence("[4]", embedding + R"(, {"type": "positional_embedding", "name": "p", "length": 3})"))
          .find("'length' is 3 but its input has 4 positions") != std::string::npos);
  CHECK(message(R"({"input": [2, 3, 3], "layers": [{"type": "layer_norm", "name": "n"}]})")
            .find("'n' (layer_norm): takes sequences or flat inputs, not [2, 3, 3]") != std::string::npos);
  CHECK(message(sequence("[4, 10]", R"({"type": "attention", "name": "a"})"))
            .find("side by side, which 10 features cannot be") != std::string::npos);
  CHECK(message(sequence("[4, 12]", R"({"type": "attention", "name": "a", "heads": 3})"))
            .find("'heads' is 3, which does not divide 4 features") != std::string::npos);
  CHECK(message(sequence("[4, 12]", R"({"type": "attention", "name": "a", "padding_idx": 0})"))
            .find("and the token ids") != std::string::npos);
  CHECK(message(sequence("[4, 2]", R"({"type": "rms_norm", "name": "n", "eps": -1.5})")).find("'eps'") !=
        std::string::npos);
}
