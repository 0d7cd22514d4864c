// Is the engine right on this model and this data? A scalar double-precision answer to compare with.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

/// The engine's float32 pass against double: squaring doubles a gradient's relative error of about 1e-6.
inline constexpr double kFisherTolerance = 1e-5;
/// Analytic gradient against central differences, relative to |g| + 1e-3 max |g| of the tensor.
inline constexpr double kGradientTolerance = 1e-6;

struct CheckOptions {
  Estimator estimator;
  Likelihood likelihood = Likelihood::Categorical;
  std::size_t samples = 8;       ///< spread evenly over the data
  std::size_t differences = 32;  ///< parameters of each tensor that are differenced
  /// Called with work done and in all; returning false stops with InterruptedError.
  std::function<bool(std::size_t done, std::size_t total)> progress;
};

/// The verdict on one parameter tensor.
struct TensorCheck {
  std::string name;
  double fisher_error = 0;      ///< |F - F_reference| / |F_reference|
  double gradient_error = 0;    ///< largest |g - difference| / (|g| + 1e-3 max |g|)
  std::size_t differences = 0;  ///< parameters differenced
  std::size_t kinks = 0;        ///< left out: the step crosses the corner of a ReLU
  bool passed = false;
};

struct CheckReport {
  std::vector<TensorCheck> tensors;
  std::size_t samples = 0;  ///< checked
  /// Left out: a ReLU's input is so near 0 that float and double may disagree on which side it is.
  std::size_t samples_at_corners = 0;
  bool passed = false;
};

/// Computes the diagonal of a few samples with the engine and, one sample and one seed at a time in double,
/// by the definition (docs/estimators.md); and checks the gradients the definition rests on against central
/// differences of the nll. Data without targets are differenced at target 0. The draws of `mc` and `sketch`
/// are the engine's own: what is checked then is the pass, not the draws. Errors: as compute_fisher;
/// ArgumentError for no samples, DataError if none is left.
CheckReport check_fisher(const Network& network, Dataset& data, const CheckOptions& options,
                         const Context& context);

}  // namespace fisherdiag
