// What convolutions' layers say (conv_op.hpp).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/nn/conv_op.hpp"

namespace fisherdiag {

namespace {

std::unique_ptr<Op> make_conv(LayerFields& fields, std::span<const ValueShape> inputs, std::size_t rank,
                              bool transposed) {
  const ValueShape& input = ops::only_input(fields, inputs);
  if (input.grid.size() != rank || !input.channels_first)
    fields.fail("takes inputs with channels and " + std::to_string(rank) + " dimensions, not " +
                input.text());
  ConvShape s;
  s.transposed = transposed;
  s.groups = fields.size("groups", 1);
  if (const std::size_t in = fields.size("in", input.features); in != input.features)
    fields.fail("'in' is " + std::to_string(in) + " but its input " + input.text() + " has " +
                std::to_string(input.features) + " channels");
  ValueShape output = input;
  output.features = fields.size("out");
  if (input.features % s.groups || output.features % s.groups)
    fields.fail("'groups' must divide 'in' and 'out'");
  s.window = {fields.sizes("kernel", rank), fields.sizes("stride", rank, 1),
              fields.sizes("padding", rank, 0, 0), fields.sizes("dilation", rank, 1)};
  const std::vector<std::size_t> extra =
      transposed ? fields.sizes("output_padding", rank, 0, 0) : std::vector<std::size_t>(rank, 0);
  for (std::size_t d = 0; d < rank; ++d) {
    const std::size_t covered = s.window.dilation[d] * (s.window.kernel[d] - 1) + 1;
    if (!transposed) {
      output.grid[d] = s.window.places(d, input.grid[d]);
    } else {
      const std::size_t all = (input.grid[d] - 1) * s.window.stride[d] + covered + extra[d];
      output.grid[d] = all > 2 * s.window.padding[d] ? all - 2 * s.window.padding[d] : 0;
      if (extra[d] >= std::max(s.window.stride[d], s.window.dilation[d]))
        fields.fail("'output_padding' must be less than stride or dilation");
    }
    if (output.grid[d] == 0) fields.fail("its kernel does not fit its input " + input.text());
  }
  s.wide = transposed ? input : output;
  s.narrow = transposed ? output : input;
  return std::make_unique<ConvOp>(std::move(s), fields.has_bias());
}

}  // namespace

std::unique_ptr<Op> make_conv1d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_conv(fields, inputs, 1, false);
}
std::unique_ptr<Op> make_conv2d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_conv(fields, inputs, 2, false);
}
std::unique_ptr<Op> make_conv_transpose2d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_conv(fields, inputs, 2, true);
}

}  // namespace fisherdiag
