// An architecture with its parameters.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// A network in evaluation mode: architecture and one flat float32 parameter vector in the order of
/// Architecture::parameters(); and the constants of its layers, as the statistics of batch norm.
class Network {
 public:
  /// All parameters zero.
  explicit Network(Architecture architecture);

  /// PyTorch's defaults: for torch.nn.Linear weight and bias uniform in ±1/sqrt(inputs).
  static Network random(Architecture architecture, std::uint64_t seed);

  /// Reads the parameters of `architecture` from a safetensors file with the same keys and shapes. Batch
  /// norm's statistics are NAME.running_mean and NAME.running_var; NAME.num_batches_tracked is passed over.
  /// Errors: DataError for a missing or unknown key, another shape or a value that is not finite (naming the
  /// parameter); IoError, FormatError.
  static Network load(const std::filesystem::path& weights, Architecture architecture);

  /// The same with the architecture the file itself carries in `__metadata__["fisherdiag.arch"]`.
  static Network load(const std::filesystem::path& weights);

  /// Atomic; adds the architecture to the metadata.
  void save(const std::filesystem::path& path, std::map<std::string, std::string> metadata = {}) const;

  const Architecture& architecture() const { return architecture_; }
  std::span<float> parameters() { return parameters_; }
  std::span<const float> parameters() const { return parameters_; }
  /// In the order of Graph::buffers(); empty for a chain.
  std::span<float> buffers() { return buffers_; }
  std::span<const float> buffers() const { return buffers_; }
  /// Of layer `layer` of a chain: [outputs, inputs] row-major.
  std::span<const float> weight(std::size_t layer) const;
  std::span<const float> bias(std::size_t layer) const;

  /// SHA-256 of all parameter values, then of all buffers, in order (little-endian float32).
  std::string sha256() const;

 private:
  Architecture architecture_;
  AlignedBuffer<float> parameters_, buffers_;
};

}  // namespace fisherdiag
