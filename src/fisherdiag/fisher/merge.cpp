#include "fisherdiag/fisher/merge.hpp"

#include <cmath>
#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/compare.hpp"

namespace fisherdiag {

namespace {

/// What a `mean` was divided by; for an importance subset the samples it stands for, which is what it was
/// scaled to.
double divisor(const FisherMetadata& metadata) {
  if (metadata.sampling.subset == SubsetKind::Importance)
    return static_cast<double>(metadata.sampling.population);
  if (metadata.estimator.kind != EstimatorKind::Batched) return static_cast<double>(metadata.samples);
  const std::uint64_t batch = metadata.estimator.batch_size;
  return batch ? static_cast<double>((metadata.samples + batch - 1) / batch) : 0.0;
}

[[noreturn]] void refuse(const std::string& what, const std::string& first, const std::string& part) {
  throw DataError(what + " is '" + part + "' but '" + first + "' in the first diagonal");
}

bool has_draws(EstimatorKind kind) {
  return kind == EstimatorKind::MonteCarlo || kind == EstimatorKind::Sketch;
}

void check_same_quantity(const FisherMetadata& first, const FisherMetadata& part) {
  if (first.estimator.kind != part.estimator.kind)
    refuse("estimator", std::string(estimator_name(first.estimator.kind)),
           std::string(estimator_name(part.estimator.kind)));
  if (first.likelihood != part.likelihood)
    refuse("likelihood", std::string(likelihood_name(first.likelihood)),
           std::string(likelihood_name(part.likelihood)));
  // exact is the same for both.
  if (first.positions > 1 && first.estimator.kind != EstimatorKind::Exact &&
      first.estimator.unit != part.estimator.unit)
    refuse("unit of the likelihood", std::string(likelihood_unit_name(first.estimator.unit)),
           std::string(likelihood_unit_name(part.estimator.unit)));
  if (has_draws(first.estimator.kind) && first.estimator.draws != part.estimator.draws)
    refuse("number of draws", std::to_string(first.estimator.draws), std::to_string(part.estimator.draws));
  if (first.estimator.kind == EstimatorKind::Batched &&
      first.estimator.batch_size != part.estimator.batch_size)
    refuse("batch size", std::to_string(first.estimator.batch_size),
           std::to_string(part.estimator.batch_size));
}

}  // namespace

FisherMerger::FisherMerger(MergeOptions options) : options_(options) {
  if (options_.decay && !(*options_.decay > 0 && *options_.decay <= 1))
    throw ArgumentError("decay must be in (0, 1], not " + std::to_string(*options_.decay));
}

void FisherMerger::begin(const FisherDiagonal& first) {
  tensors_ = first.tensors();
  sums_ = AlignedBuffer<double>(first.values().size());
  metadata_ = first.metadata();
  metadata_.samples = 0;
  metadata_.data.clear();
  metadata_.sampling = {};
}

void FisherMerger::check_part(const FisherDiagonal& part) const {
  const FisherMetadata& other = part.metadata();
  if (metadata_.normalization != other.normalization)
    refuse("normalization", std::string(normalization_name(metadata_.normalization)),
           std::string(normalization_name(other.normalization)));
  if (options_.force) return;
  check_same_quantity(metadata_, other);
  if (!options_.decay && metadata_.weights_sha256 != other.weights_sha256)
    refuse("sha256 of the weights", metadata_.weights_sha256, other.weights_sha256);
}

void FisherMerger::add(const FisherDiagonal& part) {
  if (parts_ == 0) begin(part);
  const std::vector<std::size_t> order = match_tensors(tensors_, part.tensors());
  check_part(part);
  double weight = 1;
  if (!options_.decay && metadata_.normalization == Normalization::Mean) {
    weight = divisor(part.metadata());
    if (!(weight > 0))
      throw DataError("normalised by mean without saying over how many samples, so it cannot be weighted");
  }
  const double keep = options_.decay && parts_ > 0 ? *options_.decay : 1.0;
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const float* values = part.values().data() + part.tensors()[order[t]].offset;
    double* sums = sums_.data() + tensors_[t].offset;
    for (std::size_t i = 0; i < tensors_[t].size; ++i) sums[i] = keep * sums[i] + weight * values[i];
  }
  weight_ += weight;
  metadata_.samples += part.metadata().samples;
  metadata_.data += (metadata_.data.empty() ? "" : " + ") + part.metadata().data;
  if (options_.decay)
    metadata_.weights_sha256 = part.metadata().weights_sha256;
  else if (metadata_.weights_sha256 != part.metadata().weights_sha256)
    metadata_.weights_sha256.clear();
  if (metadata_.isa != part.metadata().isa) metadata_.isa = "mixed";
  // A sum is no more precise than its least precise part.
  if (part.metadata().precision == Precision::Bf16) metadata_.precision = Precision::Bf16;
  if (metadata_.precision_unit != part.metadata().precision_unit) metadata_.precision_unit = "mixed";
  ++parts_;
}

FisherDiagonal FisherMerger::finish() const {
  if (parts_ == 0) throw ArgumentError("there is no Fisher diagonal to merge");
  const bool weighted = !options_.decay && metadata_.normalization == Normalization::Mean;
  AlignedBuffer<float> values(sums_.size());
  for (const ParameterTensor& tensor : tensors_)
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      values[i] = static_cast<float>(weighted ? sums_[i] / weight_ : sums_[i]);
      if (!std::isfinite(values[i]))
        throw DataError("the merged value of '" + tensor.name + "' at element " +
                        std::to_string(i - tensor.offset) + " is too large for float32");
    }
  FisherMetadata metadata = metadata_;
  metadata.version = std::string(version());
  return {tensors_, std::move(values), std::move(metadata)};
}

}  // namespace fisherdiag
