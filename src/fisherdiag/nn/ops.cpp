#include "fisherdiag/nn/ops.hpp"

#include <algorithm>
#include <vector>

namespace fisherdiag::ops {

const ValueShape& only_input(const LayerFields& fields, std::span<const ValueShape> inputs) {
  if (inputs.size() != 1) fields.fail("takes one input, not " + std::to_string(inputs.size()));
  return inputs.front();
}

namespace {

/// Calls f(offset in the strips, offset in the rows, count) for every run of numbers that are neighbours in
/// both.
template <class F>
void for_runs(std::size_t strip_stride, std::size_t first_row, std::size_t rows, std::size_t first_column,
              std::size_t columns, std::size_t lanes, std::size_t stride, const F& f) {
  for (std::size_t c = 0, count = 0; c < columns; c += count) {
    const std::size_t column = first_column + c;
    count = std::min(lanes - column % lanes, columns - c);
    const std::size_t start = column / lanes * strip_stride + column % lanes;
    for (std::size_t r = 0; r < rows; ++r) f(start + (first_row + r) * lanes, r * stride + c, count);
  }
}

}  // namespace

void read_block(const kernels::ConstStrips& m, std::size_t first_row, std::size_t rows,
                std::size_t first_column, std::size_t columns, std::size_t lanes, float* to,
                std::size_t stride) {
  for_runs(m.stride, first_row, rows, first_column, columns, lanes, stride,
           [&](std::size_t strip, std::size_t row, std::size_t count) {
             std::copy_n(m.data + strip, count, to + row);
           });
}

void write_block(const float* from, std::size_t stride, bool add, const kernels::Strips& m,
                 std::size_t first_row, std::size_t rows, std::size_t first_column, std::size_t columns,
                 std::size_t lanes) {
  for_runs(m.stride, first_row, rows, first_column, columns, lanes, stride,
           [&](std::size_t strip, std::size_t row, std::size_t count) {
             float* to = m.data + strip;
             for (std::size_t l = 0; l < count; ++l) to[l] = (add ? to[l] : 0.f) + from[row + l];
           });
}

std::size_t product_floats(std::size_t cols, std::size_t lanes) {
  return OpScratch::floats(kernels::kRowTile, cols, lanes);
}

void copy(const kernels::KernelTable& kernels, const kernels::ConstStrips& source, bool add,
          const kernels::Strips& target) {
  kernels.scale_columns(source, nullptr, nullptr, add, target);
}

void product(const kernels::KernelTable& kernels, const kernels::ConstStrips& a,
             const kernels::ConstStrips& b, const kernels::Strips& c, const float* bias, OpScratch& scratch) {
  const std::size_t whole = a.rows / kernels::kRowTile * kernels::kRowTile, rest = a.rows - whole;
  kernels::GemmArguments g;
  g.b = b;
  g.bias = bias;
  if (whole) {
    g.a = rows_of(a, 0, whole, kernels.lanes);
    g.c = rows_of(c, 0, whole, kernels.lanes);
    kernels.gemm(g);
  }
  if (!rest) return;
  const kernels::Strips tail = scratch.strips(rest, c.cols);
  g.a = rows_of(a, whole, rest, kernels.lanes);
  g.c = tail;
  kernels.gemm(g);
  copy(kernels, tail, false, rows_of(c, whole, rest, kernels.lanes));
}

void add_position_sums(const kernels::KernelTable& kernels, const kernels::ConstStrips& delta,
                       std::size_t samples, const GradientRows& gradient) {
  const std::size_t positions = delta.rows / samples;
  std::vector<double> sums(delta.cols);
  for (std::size_t n = 0; n < samples; ++n) {
    std::ranges::fill(sums, 0.0);
    kernels.column_sums(rows_of(delta, n * positions, positions, kernels.lanes), false, sums.data());
    float* to = gradient.data + n * gradient.stride;
    for (std::size_t c = 0; c < sums.size(); ++c) to[c] += static_cast<float>(sums[c]);
  }
}

void square(const kernels::ConstStrips& source, bool add, const kernels::Strips& target, std::size_t lanes) {
  for (std::size_t column = 0, strip = 0; column < source.cols; column += lanes, ++strip) {
    const float* from = source.data + strip * source.stride;
    float* to = target.data + strip * target.stride;
    for (std::size_t i = 0; i < source.rows * lanes; ++i) to[i] = (add ? to[i] : 0.f) + from[i] * from[i];
  }
}

void square_again(const kernels::Strips& m, bool scaled, std::size_t lanes) {
  const float scale = scaled ? kernels::kSquareScale : 1;
  for (std::size_t column = 0, strip = 0; column < m.cols; column += lanes, ++strip) {
    float* values = m.data + strip * m.stride;
    for (std::size_t i = 0; i < m.rows * lanes; ++i) values[i] = scale * values[i] * (scale * values[i]);
  }
}

void clear(const kernels::Strips& m, std::size_t lanes) {
  for (std::size_t column = 0, strip = 0; column < m.cols; column += lanes, ++strip)
    std::fill_n(m.data + strip * m.stride, m.rows * lanes, 0.f);
}

}  // namespace fisherdiag::ops
