// The result of a Fisher pass: the diagonal and what it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/fisher/precision.hpp"
#include "fisherdiag/fisher/sampling_record.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// How the sum over samples is scaled.
enum class Normalization {
  Mean,  ///< divided by the number of samples (batched: of batches)
  Sum,   ///< not divided
};

std::string_view normalization_name(Normalization normalization);

/// What a diagonal is; written into the file's metadata under the same names.
struct FisherMetadata {
  Estimator estimator;
  Likelihood likelihood = Likelihood::Categorical;
  Normalization normalization = Normalization::Mean;
  std::uint64_t samples = 0;   ///< samples that entered the sum
  std::size_t positions = 1;   ///< outputs of a sample; written with estimator.unit if there are several
  SamplingRecord sampling;     ///< how they were chosen, and the error that makes
  std::string weights_sha256;  ///< of the parameters it was computed at
  std::string data;            ///< how the data was named
  std::string isa;
  Precision precision = Precision::Float32;
  std::string precision_unit;  ///< what multiplied in bf16 (precision.hpp); written if not empty
  std::string version;

  std::map<std::string, std::string> to_strings() const;
  /// Missing entries keep their defaults; malformed ones throw DataError.
  static FisherMetadata from_strings(const std::map<std::string, std::string>& strings);
};

/// Diagonal of the Fisher information, one value >= 0 per parameter, in (nats / unit of parameter)^2.
class FisherDiagonal {
 public:
  /// standard_errors: of each value, or empty.
  FisherDiagonal(std::vector<ParameterTensor> tensors, AlignedBuffer<float> values, FisherMetadata metadata,
                 AlignedBuffer<float> standard_errors = {});

  static FisherDiagonal load(const std::filesystem::path& path);
  /// Same keys and shapes as the weights, float32, atomic. Standard errors, where there are some, follow as
  /// NAME.standard_error, and metadata "standard_error" says so.
  void save(const std::filesystem::path& path) const;

  const std::vector<ParameterTensor>& tensors() const { return tensors_; }
  std::span<const float> values() const { return values_; }
  const FisherMetadata& metadata() const { return metadata_; }
  /// Standard error of each value over samples; empty: not known.
  std::span<const float> standard_errors() const { return standard_errors_; }
  /// SHA-256 of the values in order (little-endian float32).
  std::string sha256() const;
  /// Sum of all values, in double.
  double trace() const;

 private:
  std::vector<ParameterTensor> tensors_;
  AlignedBuffer<float> values_, standard_errors_;
  FisherMetadata metadata_;
};

/// True for a tensor of `file` that holds standard errors of another one.
bool is_standard_error(const SafetensorsFile& file, const TensorEntry& tensor);

}  // namespace fisherdiag
