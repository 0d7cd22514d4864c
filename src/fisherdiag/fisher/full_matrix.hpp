// The whole Fisher matrix of a small model: what the diagonal is the diagonal of.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "fisherdiag/fisher/diagonal.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

/// Most parameters of a model whose whole matrix is computed: 4096^2 doubles are 128 MiB.
inline constexpr std::size_t kMostFullMatrixParameters = 4096;

struct FullMatrixOptions {
  Estimator estimator;
  Likelihood likelihood = Likelihood::Categorical;
  Normalization normalization = Normalization::Mean;
  /// Called between blocks with samples done and in all. Returning false stops with InterruptedError.
  std::function<bool(std::size_t done, std::size_t total)> progress;
};

/// A Fisher matrix [P, P], symmetric to the bit, row-major in the order of Architecture::parameters(), in
/// (nats / unit of parameter)^2. Positive semi-definite up to the rounding of double sums.
class FisherMatrix {
 public:
  /// Throws ArgumentError unless there are size * size values.
  FisherMatrix(std::size_t size, std::vector<double> values);

  /// P.
  std::size_t size() const { return size_; }
  double operator()(std::size_t i, std::size_t j) const { return values_[i * size_ + j]; }
  std::span<const double> values() const { return values_; }
  std::vector<double> diagonal() const;

 private:
  std::size_t size_;
  std::vector<double> values_;
};

/// F = norm * sum_n sum_k g_nk g_nk^T with g_nk = J_n^T s_nk and the seeds s of any estimator
/// (docs/estimators.md); batched: norm * sum over batches of the outer square of the batch's mean gradient.
///
/// Forward, backward and sums in double, one sample at a time; the seeds are the engine's own (float, same
/// draws for the same seed), so the diagonal is compute_fisher's up to float rounding. Same bits for every
/// number of threads. Cost: seeds * P^2 flop per sample, 8 P^2 bytes.
/// Errors: ArgumentError for more than kMostFullMatrixParameters parameters, and as compute_fisher.
FisherMatrix compute_full_fisher(const Network& network, Dataset& data, const FullMatrixOptions& options,
                                 const Context& context);

}  // namespace fisherdiag
