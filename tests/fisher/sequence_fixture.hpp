// Networks with an output at each position of a sequence, and samples for them.
#pragma once

#include <cstddef>
#include <string>

#include "fisher/fisher_fixture.hpp"
#include "reference/sequence_reference.hpp"

namespace test {

/// A model that predicts the next of `tokens` tokens, with the table of embeddings used again at the output.
inline std::string tied_model(std::size_t positions, std::size_t tokens) {
  const std::string p = std::to_string(positions), t = std::to_string(tokens);
  return R"({"sequence": [)" + p + R"(], "layers": [{"type": "embedding", "name": "table", "tokens": )" + t +
         R"(, "out": 6}, {"type": "positional_embedding", "name": "place"},
    {"type": "layer_norm", "name": "norm1"}, {"type": "linear", "name": "in_proj", "out": 18},
    {"type": "attention", "heads": 2, "causal": true}, {"type": "linear", "name": "out_proj", "out": 6},
    {"type": "add", "from": ["out_proj", "place"]}, {"type": "layer_norm", "name": "norm2"},
    {"type": "linear", "name": "head", "out": )" +
         t + R"(, "weight": "table.weight", "bias": false}]})";
}

/// One of sequences of `features` numbers, with attention to itself.
inline std::string number_model(std::size_t positions, std::size_t features, std::size_t width,
                                std::size_t classes) {
  return R"({"sequence": [)" + std::to_string(positions) + ", " + std::to_string(features) +
         R"(], "layers": [{"type": "linear", "name": "a", "out": )" + std::to_string(width) +
         R"(}, {"type": "attention", "heads": 1, "from": ["a", "a", "a"]}, {"type": "tanh"},
    {"type": "linear", "name": "head", "out": )" +
         std::to_string(classes) + "}]}";
}

/// As reference::random_sequences, of the network's shape.
inline fisherdiag::reference::Samples sequences_of(const fisherdiag::Network& network, std::size_t count,
                                                   std::size_t ignored) {
  const fisherdiag::Architecture& a = network.architecture();
  return fisherdiag::reference::random_sequences(count, a.inputs(), a.graph()->tokens(), a.positions(),
                                                 a.outputs(), ignored, 5);
}

}  // namespace test
