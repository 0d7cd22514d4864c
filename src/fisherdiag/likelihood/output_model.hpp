// What one likelihood knows about a block of samples; every estimator is built from these (seed_source.hpp).
// Internal to likelihood/: a new likelihood is a class here, a line in make_output_model and a name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"

namespace fisherdiag::detail {

/// The distribution p(y | z) of C outputs for each row of a prepared block. Not thread-safe. After prepare(),
/// seeds, squares and targets passed in have as many rows as the logits had.
class OutputModel {
 public:
  explicit OutputModel(std::size_t outputs) : outputs_(outputs) {}
  virtual ~OutputModel() = default;

  std::size_t outputs() const { return outputs_; }
  /// Columns of a target row.
  virtual std::size_t target_width() const { return outputs_; }
  /// Columns of a factor L_r with L_r L_r^T = cov(d nll / dz) of row r.
  virtual std::size_t factor_columns() const { return outputs_; }

  /// Takes the block in; `logits` are finite and need not outlive the call. Allocates only if rows grow.
  /// Throws DataError naming the sample where the distribution overflows.
  virtual void prepare(MatrixView<const float> logits, std::span<const std::uint64_t> samples) = 0;
  /// Throws DataError naming the first sample whose target the likelihood does not have.
  virtual void check_targets(MatrixView<const float> targets,
                             std::span<const std::uint64_t> samples) const = 0;

  /// seeds(r, .) = scale * d nll / dz at target r.
  virtual void residuals(MatrixView<const float> targets, float scale, MatrixView<float> seeds) const = 0;
  /// The most probable target of each row.
  virtual void modes(MatrixView<float> targets) const = 0;
  /// Draws a target of row r. `draw` (target_width floats) is for drawn_residuals only.
  virtual void draw(std::size_t r, RandomStream& random, float* draw) const = 0;
  /// seeds(r, .) = scale * d nll / dz at the target drawn for row r.
  virtual void drawn_residuals(MatrixView<const float> draws, float scale, MatrixView<float> seeds) const = 0;

  /// Called once per block before the two below.
  virtual void prepare_factor() {}
  /// seeds(r, .) = column k of L_r.
  virtual void factor_column(std::size_t k, MatrixView<float> seeds) const = 0;
  /// seed = scale * L_r e, where e_k = -1 if bit k % 32 of signs[k / 32] is set and +1 if not.
  virtual void factor_times_signs(std::size_t r, const std::uint32_t* signs, float scale,
                                  float* seed) const = 0;
  /// squares(r, c) = (L_r L_r^T)(c, c).
  virtual void variances(MatrixView<float> squares) const = 0;

  /// Sum over rows of nll in nats; logits and targets of the prepared block.
  virtual double nll(MatrixView<const float> logits, MatrixView<const float> targets) const = 0;

 private:
  std::size_t outputs_;
};

std::unique_ptr<OutputModel> make_output_model(Likelihood likelihood, std::size_t outputs,
                                               const kernels::KernelTable& kernels);

std::unique_ptr<OutputModel> make_categorical(std::size_t outputs, const kernels::KernelTable& kernels);
std::unique_ptr<OutputModel> make_gaussian(std::size_t outputs);
std::unique_ptr<OutputModel> make_bernoulli(std::size_t outputs);
std::unique_ptr<OutputModel> make_poisson(std::size_t outputs);

/// +1 or -1 from bit k of packed signs.
inline float sign_of(const std::uint32_t* signs, std::size_t k) {
  return (signs[k / 32] >> (k % 32)) & 1u ? -1.0f : 1.0f;
}

/// Makes room for `size` elements; contents are lost if it grows.
template <class T>
void grow(AlignedBuffer<T>& buffer, std::size_t size) {
  if (buffer.size() < size) buffer = AlignedBuffer<T>(size);
}

/// "sample 17: target 2 is 0.5, which is REASON"
[[noreturn]] void throw_bad_target(std::uint64_t sample, std::size_t output, float value,
                                   const std::string& reason);

}  // namespace fisherdiag::detail
