#include <cmath>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

struct Case {
  std::string name, json;
};

std::string sequence(const std::string& shape, const std::string& layers) {
  return "{\"sequence\": " + shape + ", \"layers\": [" + layers + "]}";
}

constexpr const char* kHead = R"({"type": "flatten"}, {"type": "linear", "name": "head", "out": 3})";

/// Networks of sequences with one output, three wide, small enough for the reference.
const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"layer norm", sequence("[4, 5]", std::string(R"({"type": "linear", "name": "a", "out": 19},
          {"type": "layer_norm", "name": "norm1"}, {"type": "tanh"}, {"type": "linear", "name": "b", "out": 6},
          {"type": "layer_norm", "name": "norm2", "bias": false, "eps": 0.01},)") +
                                            kHead)},
      {"layer norm of a vector", R"({"input": [6], "layers": [{"type": "linear", "name": "a", "out": 9},
          {"type": "layer_norm", "name": "norm1"}, {"type": "gelu"}, {"type": "layer_norm", "affine": false},
          {"type": "linear", "name": "head", "out": 3}]})"},
      {"rms norm", sequence("[3, 4]", std::string(R"({"type": "linear", "name": "a", "out": 18},
          {"type": "rms_norm", "name": "norm1"}, {"type": "silu"}, {"type": "linear", "name": "b", "out": 5},
          {"type": "rms_norm", "name": "norm2", "eps": 0.1},)") +
                                          kHead)},
      {"tied norms", sequence("[3, 8]", std::string(R"({"type": "layer_norm", "name": "norm1"},
          {"type": "linear", "name": "a", "out": 8}, {"type": "layer_norm", "name": "norm2",
          "weight": "norm1.weight", "bias": "norm1.bias"},)") +
                                            kHead)},
      // 9 positions for 6 tokens: some token comes twice in every sample.
      {"embedding", sequence("[9]", std::string(R"({"type": "embedding", "name": "table", "tokens": 6,
          "out": 19}, {"type": "tanh"},)") +
                                        kHead)},
      {"wide embedding", sequence("[5]", std::string(R"({"type": "embedding", "name": "table", "tokens": 4,
          "out": 130, "padding_idx": 0}, {"type": "tanh"},)") +
                                             kHead)},
      {"positions",
       sequence("[5]", std::string(R"({"type": "embedding", "name": "table", "tokens": 6, "out": 18},
          {"type": "positional_embedding", "name": "place"}, {"type": "layer_norm", "name": "norm"},
          {"type": "linear", "name": "a", "out": 4}, {"type": "gelu"},)") +
                           kHead)},
      {"longer tables",
       sequence("[4]", std::string(R"({"type": "embedding", "name": "table", "tokens": 5, "out": 6},
          {"type": "positional_embedding", "name": "place", "length": 7}, {"type": "tanh"},)") +
                           kHead)},
      {"two embeddings of one table", sequence("[4]",
                                               std::string(R"({"type": "embedding", "name": "e1", "tokens": 5,
          "out": 6}, {"type": "tanh"}, {"type": "embedding", "name": "e2", "from": "input", "tokens": 5, "out": 6,
          "weight": "e1.weight"},)") + kHead)},
      {"packed attention",
       sequence("[6, 4]", std::string(R"({"type": "linear", "name": "attn.in_proj", "out": 30,
          "weight": "attn.in_proj_weight", "bias": "attn.in_proj_bias"}, {"type": "attention", "heads": 2},
          {"type": "linear", "name": "attn.out_proj", "out": 4},)") +
                              kHead)},
      // No bias of the keys: it moves all of a query's products alike, so that its gradient is zero.
      {"causal attention of whole vectors", sequence("[7, 4]", std::string(R"(
          {"type": "linear", "name": "q", "out": 32, "from": "input"},
          {"type": "linear", "name": "k", "out": 32, "bias": false, "from": "input"},
          {"type": "linear", "name": "v", "out": 32, "from": "input"},
          {"type": "attention", "heads": 2, "causal": true, "from": ["q", "k", "v"]},)") +
                                                                   kHead)},
      {"attention to itself", sequence("[5, 6]", std::string(R"({"type": "linear", "name": "a", "out": 6},
          {"type": "attention", "name": "attend", "from": ["a", "a", "a"], "heads": 3},
          {"type": "add", "from": ["a", "attend"]},)") +
                                                     kHead)},
      // One sample of the four tokens in five at least has padding.
      {"padding",
       sequence("[5]", R"({"type": "embedding", "name": "table", "tokens": 4, "out": 6, "padding_idx": 0},
          {"type": "linear", "name": "in_proj", "out": 18}, {"type": "attention", "heads": 1, "padding_idx": 0,
          "from": ["in_proj", "input"]}, {"type": "linear", "name": "a", "out": 5},
          {"type": "sequence_mean", "padding_idx": 0, "from": ["a", "input"]},
          {"type": "linear", "name": "head", "out": 3})")},
      {"a block of a transformer",
       sequence("[6]", R"({"type": "embedding", "name": "table", "tokens": 7, "out": 8},
          {"type": "positional_embedding", "name": "place"}, {"type": "layer_norm", "name": "norm1"},
          {"type": "linear", "name": "in_proj", "out": 24}, {"type": "attention", "heads": 2, "causal": true},
          {"type": "linear", "name": "out_proj", "out": 8}, {"type": "add", "name": "mid", "from": ["out_proj", "place"]},
          {"type": "layer_norm", "name": "norm2"}, {"type": "linear", "name": "linear1", "out": 12}, {"type": "gelu"},
          {"type": "linear", "name": "linear2", "out": 8}, {"type": "add", "from": ["linear2", "mid"]},
          {"type": "sequence_mean"}, {"type": "linear", "name": "head", "out": 3})")},
  };
  return all;
}

const std::vector<EstimatorKind> kKinds{EstimatorKind::Empirical,  EstimatorKind::Exact,
                                        EstimatorKind::MonteCarlo, EstimatorKind::Sketch,
                                        EstimatorKind::Predicted,  EstimatorKind::Batched};

Estimator estimator_of(EstimatorKind kind) {
  Estimator estimator{kind};
  estimator.draws = 2;
  estimator.batch_size = 3;
  return estimator;
}

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
  for (const Case& c : cases()) {
    const Network network = make_network(c.json, 3, 1.5F);
    const Samples samples = make_samples(network, 11, Likelihood::Categorical, 5);
    for (const EstimatorKind kind : kKinds) {
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
    for (const Case& c : cases()) {
      CAPTURE(isa_name(isa), c.name);
      const Network network = make_network(c.json, 4, 1.5F);
      const Samples samples = make_samples(network, 5, Likelihood::Categorical, 6);
      const Vector expected = expected_diagonal(network, samples, {});
      REQUIRE(worst_tensor_error(compute(network, samples, {}, Likelihood::Categorical, isa), expected) <=
              1e-5);
    }
}

TEST_CASE("the reference's gradients of sequences are those of central differences", "[fisher]") {
  for (const Case& c : cases()) {
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
      "tokens": 3, "out": 4},)") + kHead),
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
  const Network network = make_network(cases()[6].json, 3);
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
  const Network network = make_network(cases()[cases().size() - 2].json, 3);
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
  const Network network = make_network(cases()[4].json, 3);
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
