// Likelihoods whose outputs are independent given z: the factor is the diagonal of standard deviations.
#pragma once

#include "fisherdiag/likelihood/output_model.hpp"

namespace fisherdiag::detail {

/// Draws are kept as the residual itself, so that nothing of a large mean cancels.
class IndependentOutputs : public OutputModel {
 public:
  using OutputModel::OutputModel;

  void drawn_residuals(MatrixView<const float> draws, float scale, MatrixView<float> seeds) const override;
  void factor_column(std::size_t k, MatrixView<float> seeds) const override;
  void factor_times_signs(std::size_t r, const std::uint32_t* signs, float scale, float* seed) const override;
  void variances(MatrixView<float> squares) const override;

 protected:
  /// Variance of d nll / dz_c in row r.
  virtual float variance(std::size_t r, std::size_t c) const = 0;
};

}  // namespace fisherdiag::detail
