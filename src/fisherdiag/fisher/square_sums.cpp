#include "fisherdiag/fisher/square_sums.hpp"

namespace fisherdiag {

namespace {

/// Q is often far below 1 and its square would be lost.
constexpr float kScale = 0x1p20f;
constexpr double kUnscale = 0x1p-40;

void square(const kernels::ConstStrips& source, float scale, const kernels::Strips& target,
            std::size_t lanes) {
  for (std::size_t column = 0, strip = 0; column < source.cols; column += lanes, ++strip) {
    const float* from = source.data + strip * source.stride;
    float* to = target.data + strip * target.stride;
    for (std::size_t i = 0; i < source.rows * lanes; ++i) to[i] = scale * from[i] * (scale * from[i]);
  }
}

}  // namespace

SquareSums::SquareSums(const Architecture& architecture, std::size_t rows, std::size_t chains,
                       std::size_t lanes)
    : lanes_(lanes), sums_(architecture.parameter_count(), 0) {
  if (chains) partials_ = ChainPartials(architecture, chains, lanes);
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const LinearLayer& layer = architecture.layers()[l];
    layers_.push_back({layer.inputs, architecture.weight_offset(l), architecture.bias_offset(l),
                       StripBuffer(rows, layer.outputs, lanes), StripBuffer(rows, layer.inputs, lanes)});
  }
}

std::size_t SquareSums::bytes(const Architecture& architecture, std::size_t rows, std::size_t chains,
                              std::size_t lanes) {
  std::size_t total = SectionedSum::bytes(architecture.parameter_count(), 0);
  if (chains) total += ChainPartials::bytes(architecture, chains, lanes);
  for (const LinearLayer& layer : architecture.layers())
    total += StripBuffer::bytes(rows, layer.outputs, lanes) + StripBuffer::bytes(rows, layer.inputs, lanes);
  return total;
}

void SquareSums::put(std::size_t l, std::size_t first, const kernels::ConstStrips& q,
                     const kernels::ConstStrips& a2) {
  square(q, kScale, layers_[l].left.rows(first, q.rows), lanes_);
  square(a2, 1, layers_[l].right.rows(first, a2.rows), lanes_);
}

void SquareSums::add(const kernels::KernelTable& kernels, std::size_t l, const kernels::OuterRange& range,
                     std::size_t first, std::size_t count, const kernels::SkipScratch& scratch) {
  Layer& layer = layers_[l];
  const kernels::ConstStrips left = layer.left.rows(first, count);
  kernels.squared_outer_skip(left, layer.right.rows(first, count), range, sums_.data() + layer.weights,
                             layer.inputs, scratch);
  if (range.strip_begin != 0) return;
  const std::size_t begin = range.row_begin;
  const kernels::ConstStrips own{left.data + begin / lanes_ * left.stride, left.rows, range.row_end - begin,
                                 left.stride};
  kernels.column_sums(own, false, sums_.data() + layer.biases + begin);
}

void SquareSums::add_to_chain(const kernels::KernelTable& kernels, std::size_t chain, std::size_t l,
                              std::size_t first, std::size_t count, bool begins,
                              const kernels::SkipScratch& scratch) {
  partials_.add(kernels, chain, l, layers_[l].left.rows(first, count), layers_[l].right.rows(first, count),
                begins, scratch);
}

AlignedBuffer<double> SquareSums::take() {
  AlignedBuffer<double> sums = sums_.take();
  for (double& sum : sums) sum *= kUnscale;
  return sums;
}

}  // namespace fisherdiag
