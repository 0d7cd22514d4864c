// The operations there are, one file op_NAME.cpp each, and what they share.
#pragma once

#include <memory>
#include <span>

#include "fisherdiag/nn/op.hpp"

namespace fisherdiag {

/// Inputs are checked here: their number and shapes. Errors as make_op.
std::unique_ptr<Op> make_adaptive_avg_pool1d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_adaptive_avg_pool2d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_add(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_attention(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_avg_pool1d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_avg_pool2d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_batch_norm(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_conv1d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_conv2d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_conv_transpose2d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_embedding(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_flatten(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_gelu(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_group_norm(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_identity(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_layer_norm(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_linear(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_max_pool1d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_max_pool2d(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_positional_embedding(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_relu(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_relu6(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_rms_norm(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_sequence_mean(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_sigmoid(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_silu(LayerFields& fields, std::span<const ValueShape> inputs);
std::unique_ptr<Op> make_tanh(LayerFields& fields, std::span<const ValueShape> inputs);

namespace ops {

/// Throws ArgumentError unless there is one input.
const ValueShape& only_input(const LayerFields& fields, std::span<const ValueShape> inputs);

/// Rows [first, first + count) of a matrix in strips.
template <class T>
kernels::StripsOf<T> rows_of(const kernels::StripsOf<T>& m, std::size_t first, std::size_t count,
                             std::size_t lanes) {
  return {m.data + first * lanes, count, m.cols, m.stride};
}

/// Strips from `strip` on, `cols` columns.
template <class T>
kernels::StripsOf<T> columns_of(const kernels::StripsOf<T>& m, std::size_t strip, std::size_t cols) {
  return {m.data + strip * m.stride, m.rows, cols, m.stride};
}

/// to[r * stride + c] = m(first_row + r, first_column + c) for `rows` rows and `columns` columns.
void read_block(const kernels::ConstStrips& m, std::size_t first_row, std::size_t rows,
                std::size_t first_column, std::size_t columns, std::size_t lanes, float* to,
                std::size_t stride);
/// The other way: m(first_row + r, first_column + c) = from[r * stride + c] + (add ? m : 0).
void write_block(const float* from, std::size_t stride, bool add, const kernels::Strips& m,
                 std::size_t first_row, std::size_t rows, std::size_t first_column, std::size_t columns,
                 std::size_t lanes);

/// c = a b + bias, writing exactly the rows of c: the kernel's last tile goes through scratch.
void product(const kernels::KernelTable& kernels, const kernels::ConstStrips& a,
             const kernels::ConstStrips& b, const kernels::Strips& c, const float* bias, OpScratch& scratch);
/// Floats of scratch product() takes for a result of `cols` columns.
std::size_t product_floats(std::size_t cols, std::size_t lanes);

/// Adds the sums over each sample's positions of delta to the gradient of a bias.
void add_position_sums(const kernels::KernelTable& kernels, const kernels::ConstStrips& delta,
                       std::size_t samples, const GradientRows& gradient);

/// target = source^2 + (add ? target : 0), element by element.
void square(const kernels::ConstStrips& source, bool add, const kernels::Strips& target, std::size_t lanes);

/// m = (kernels::kSquareScale^s m)^2 with s = 1 if `scaled`, else 0.
void square_again(const kernels::Strips& m, bool scaled, std::size_t lanes);

/// Zeroes the rows of m.
void clear(const kernels::Strips& m, std::size_t lanes);

/// target = source + (add ? target : 0).
void copy(const kernels::KernelTable& kernels, const kernels::ConstStrips& source, bool add,
          const kernels::Strips& target);

}  // namespace ops

}  // namespace fisherdiag
