// What every layer of a graph can do: forward, backward, and its part of the Fisher diagonal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/nn/layer_description.hpp"
#include "fisherdiag/nn/value_shape.hpp"

namespace fisherdiag {

/// A parameter tensor of a layer. A layer has at most one matrix, as its first parameter.
struct OpParameter {
  std::string
      role;  ///< "weight": the tensor is called NAME.weight unless the layer's field of that name says
  std::vector<std::size_t> shape;
  bool matrix = false;  ///< summed by accumulate(); all others by the gradients that backward() adds up
  /// Initial values, uniform in start +- bound.
  double start = 0, bound = 0;
};

/// Numbers that belong to a layer but are not its parameters, as the statistics of batch norm: constants,
/// not part of F. The tensor is called NAME.ROLE.
struct OpBuffer {
  std::string role;
  std::vector<std::size_t> shape;
  float start = 0;  ///< initial value
};

/// Multiply-adds of one sample, counting two each, that cannot be avoided.
struct OpFlops {
  double forward = 0;
  double backward = 0;            ///< to the input, for each seed
  double accumulate = 0;          ///< the gradient of the parameters and its squares, for each seed
  bool accumulates_once = false;  ///< seeds are summed first: `accumulate` is for all of them
};

/// Memory of one thread that an operation may use while it runs.
class OpScratch {
 public:
  OpScratch() = default;
  /// `skip_zeros`: products may leave out zeros where that is faster; the results are the same.
  OpScratch(std::size_t floats, std::size_t lanes, bool skip_zeros = true)
      : lanes_(lanes), skip_zeros_(skip_zeros), storage_(floats) {}

  /// Floats that strips() takes for a matrix.
  static std::size_t floats(std::size_t rows, std::size_t cols, std::size_t lanes);

  bool skip_zeros() const { return skip_zeros_; }
  /// Everything handed out so far may be handed out again.
  void reset() { used_ = 0; }
  /// What was handed out after mark() may be handed out again.
  std::size_t mark() const { return used_; }
  void rewind(std::size_t mark) { used_ = mark; }
  /// A matrix with room for a register tile of rows past its end. Contents do not matter.
  kernels::Strips strips(std::size_t rows, std::size_t cols);

  /// Floats that array() takes.
  template <class T>
  static constexpr std::size_t array_floats(std::size_t count) {
    return (count * sizeof(T) + kArrayBytes - 1) / kArrayBytes * (kArrayBytes / sizeof(float));
  }
  /// `count` trivial numbers, aligned to 64 bytes. Contents do not matter.
  template <class T>
  T* array(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    float* place = storage_.data() + used_;
    used_ += array_floats<T>(count);
    return ::new (static_cast<void*>(place)) T[count];
  }

 private:
  static constexpr std::size_t kArrayBytes = 64;
  std::size_t lanes_ = 0, used_ = 0;
  bool skip_zeros_ = true;
  AlignedBuffer<float> storage_;
};

/// Gradient of a vector parameter for sample n: data + n * stride.
struct GradientRows {
  float* data = nullptr;
  std::size_t stride = 0;
};

struct OpForward {
  std::span<const kernels::ConstStrips> inputs;  ///< [samples * positions, features] each
  kernels::Strips output;                        ///< rows past its last must not be written
  std::size_t samples = 0;
  OpScratch* scratch = nullptr;
  const std::uint64_t* sample_ids = nullptr;  ///< of each sample, for errors; nullptr: they count from 0
  kernels::Strips slope;  ///< the input, which is to become what Op::has_slope() says; no data: it stays
};

struct OpBackward {
  std::span<const kernels::ConstStrips> inputs;  ///< as forward saw them, or left the slope
  kernels::ConstStrips output;                   ///< as forward left it
  kernels::ConstStrips delta;                    ///< d (seed . logits) / d output
  std::size_t samples = 0;
  /// Sensitivities of the inputs, to be written; no data: not wanted. `add`: to be added to instead.
  std::span<const kernels::Strips> below;
  std::span<const bool> add;
  std::span<const GradientRows>
      gradients;  ///< one for each parameter, to be added to; the matrix's has no data
  OpScratch* scratch = nullptr;
  bool has_slope = false;  ///< forward was given OpForward::slope
};

/// Samples whose gradients of the matrix are to be squared and added to `sums`.
struct OpAccumulate {
  kernels::ConstStrips input;                    ///< of the samples
  std::span<const kernels::ConstStrips> deltas;  ///< of the samples, for each seed
  std::size_t samples = 0;
  std::size_t strip_begin = 0, strip_end = 0;  ///< which columns of the matrix
  double* sums = nullptr;  ///< the whole matrix [rows, columns]; nullptr: not wanted (Op::sums_apart())
  OpScratch* scratch = nullptr;
  double* traces = nullptr;  ///< per sample: += the sum of what it adds to `sums`; nullptr: not wanted
  /// The whole matrix: += the squares of what each sample adds to `sums`, times the square of
  /// kernels::kSquareScale; nullptr: not wanted, as it must be unless Op::sums_squares().
  double* squares = nullptr;
};

/// The matrix of squared gradients as the operation likes to have it while summing.
struct GradientMatrix {
  std::size_t rows = 0, columns = 0;
  bool operator==(const GradientMatrix&) const = default;
};

/// A batch norm of fixed statistics, per channel in whole vectors: y = scale x + shift.
struct NormTables {
  const float *scale, *shift, *mean;
  const float* inverse;  ///< 1 / sqrt(var + eps)
};

/// A layer: first its shapes, then, after prepare(), its work. Thread-safe once prepared.
class Op {
 public:
  Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  virtual ~Op() = default;

  const ValueShape& output() const { return output_; }
  const std::vector<OpParameter>& parameters() const { return parameters_; }
  const std::vector<OpBuffer>& buffers() const { return buffers_; }
  bool has_matrix() const { return !parameters_.empty() && parameters_.front().matrix; }
  virtual OpFlops flops() const { return {}; }
  /// Its first input holds whole numbers below this; 0: any numbers. forward() throws DataError naming the
  /// sample for others.
  virtual std::size_t tokens() const { return 0; }

  /// Chooses the kernels and builds the tables that do not depend on the parameters.
  virtual void prepare(const kernels::KernelTable& kernels) { kernels_ = &kernels; }
  /// Lays out the parameters, in the order of parameters(), and after them the buffers. May be called again.
  virtual void pack(std::span<const std::span<const float>> parameters);
  /// Bytes that prepare() and pack() hold.
  virtual std::size_t packed_bytes(std::size_t) const { return 0; }
  /// Floats of OpScratch that forward, backward and accumulate need at most.
  virtual std::size_t scratch_floats(std::size_t) const { return 0; }

  virtual void forward(const OpForward& f) const = 0;
  virtual void backward(const OpBackward& b) const = 0;

  /// A function of one number whose derivative takes about what its value does: forward() can leave the
  /// derivative in the place of the input.
  virtual bool has_slope() const { return false; }

  /// Of a batch norm, once packed; empty for all others.
  virtual std::optional<NormTables> norm_tables() const { return {}; }

  /// The rest is for operations with a matrix.
  virtual GradientMatrix gradient_matrix() const { return {}; }
  /// Samples whose squares go through one float chain: depends on the layer's shape alone.
  virtual std::size_t accumulate_samples() const { return 1; }
  /// sums[r, c] += the squares of each sample's gradients, for the columns of the strips asked for.
  virtual void accumulate(const OpAccumulate&) const {}
  /// accumulate() takes OpAccumulate::squares; of other operations add_gradient() has to be squared.
  virtual bool sums_squares() const { return false; }
  /// accumulate() may be called for one seed after the other, and for the squares of all seeds alone. Can be
  /// asked before prepare().
  virtual bool sums_apart(std::size_t) const { return false; }
  /// target[r * stride + c - first column] += the samples' gradients for the first seed, not squared; the
  /// stride is in whole vectors.
  virtual void add_gradient(const OpAccumulate&, float*, std::size_t) const {}
  /// The place in the parameter of element [row, column] of the matrix: one of the same row's.
  virtual std::size_t parameter_index(std::size_t row, std::size_t column) const {
    return row * gradient_matrix().columns + column;
  }

 protected:
  const kernels::KernelTable& kernels() const { return *kernels_; }

  ValueShape output_;
  std::vector<OpParameter> parameters_;
  std::vector<OpBuffer> buffers_;

 private:
  const kernels::KernelTable* kernels_ = nullptr;
};

/// The operation of a layer with these inputs. ArgumentError naming the layer for fields or shapes that do
/// not fit; UnsupportedError for a type the engine does not have.
std::unique_ptr<Op> make_op(const LayerDescription& layer, std::span<const ValueShape> inputs);

}  // namespace fisherdiag
