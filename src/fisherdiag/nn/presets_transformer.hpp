// The presets that are transformers. Internal to nn/.
#pragma once

#include "fisherdiag/nn/graph.hpp"

namespace fisherdiag {

/// An encoder of 4 layers, 128 wide, over 64 of 1,024 tokens, with 10 classes: 933,898 parameters.
Graph transformer_tiny();

/// A causal decoder of 5 layers, 512 wide, over 128 of 16,384 tokens, which predicts the next one with the
/// table of embeddings: 24,217,088 parameters.
Graph transformer_small();

}  // namespace fisherdiag
