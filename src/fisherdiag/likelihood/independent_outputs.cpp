#include "fisherdiag/likelihood/independent_outputs.hpp"

#include <algorithm>
#include <cmath>

namespace fisherdiag::detail {

void IndependentOutputs::drawn_residuals(MatrixView<const float> draws, float scale,
                                         MatrixView<float> seeds) const {
  for (std::size_t r = 0; r < seeds.rows; ++r)
    for (std::size_t c = 0; c < outputs(); ++c) seeds(r, c) = scale * draws(r, c);
}

void IndependentOutputs::factor_column(std::size_t k, MatrixView<float> seeds) const {
  for (std::size_t r = 0; r < seeds.rows; ++r) {
    std::fill_n(seeds.row(r), outputs(), 0.0f);
    seeds(r, k) = std::sqrt(variance(r, k));
  }
}

void IndependentOutputs::factor_times_signs(std::size_t r, const std::uint32_t* signs, float scale,
                                            float* seed) const {
  for (std::size_t c = 0; c < outputs(); ++c) seed[c] = scale * sign_of(signs, c) * std::sqrt(variance(r, c));
}

void IndependentOutputs::variances(MatrixView<float> squares) const {
  for (std::size_t r = 0; r < squares.rows; ++r)
    for (std::size_t c = 0; c < outputs(); ++c) squares(r, c) = variance(r, c);
}

}  // namespace fisherdiag::detail
