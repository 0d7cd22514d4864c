// Does a network compute what the program it comes from computed?
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "fisherdiag/nn/network.hpp"

namespace fisherdiag {

/// Reference outputs are another program's in float32: rounding errors of long sums, but no more.
inline constexpr double kReplayTolerance = 1e-4;

/// The verdict on one layer's outputs, or on the logits, over all reference samples.
struct ReplayLayer {
  std::string name;
  double error = 0;  ///< |ours - reference| / |reference|, Euclidean norms
  bool passed = false;
};

struct ReplayReport {
  std::vector<ReplayLayer> layers;  ///< in the order they are computed; the last is "logits"
  std::size_t samples = 0;
  bool passed = false;

  /// The first layer that differs; nullptr if none does.
  const ReplayLayer* first_difference() const;
};

/// "DIR/model.reference.safetensors" for "DIR/model.safetensors" (and "X.reference.safetensors" for "X").
std::filesystem::path reference_path(const std::filesystem::path& weights);

/// Computes, in double, the outputs of `network` for the tensor `inputs` [n, ...] of a reference file and
/// compares them with its tensors `layers.NAME` (what layer NAME gives before its activation; those that are
/// there) and `logits` [n, outputs]. Errors: IoError, FormatError; DataError for a tensor that is missing,
/// has another shape than the network says, belongs to no layer, or is not finite.
ReplayReport replay_reference(const Network& network, const std::filesystem::path& reference);

}  // namespace fisherdiag
