#include "fisherdiag/nn/op.hpp"

#include <map>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

using Maker = std::unique_ptr<Op> (*)(LayerFields&, std::span<const ValueShape>);

/// Every type of layer: a new one is a file op_NAME.cpp and a line here.
const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> all{
      {"adaptive_avg_pool1d", make_adaptive_avg_pool1d},
      {"adaptive_avg_pool2d", make_adaptive_avg_pool2d},
      {"add", make_add},
      {"attention", make_attention},
      {"avg_pool1d", make_avg_pool1d},
      {"avg_pool2d", make_avg_pool2d},
      {"batch_norm", make_batch_norm},
      {"conv1d", make_conv1d},
      {"conv2d", make_conv2d},
      {"conv_transpose2d", make_conv_transpose2d},
      {"dropout", make_identity},
      {"embedding", make_embedding},
      {"flatten", make_flatten},
      {"gelu", make_gelu},
      {"group_norm", make_group_norm},
      {"identity", make_identity},
      {"layer_norm", make_layer_norm},
      {"linear", make_linear},
      {"max_pool1d", make_max_pool1d},
      {"max_pool2d", make_max_pool2d},
      {"positional_embedding", make_positional_embedding},
      {"relu", make_relu},
      {"relu6", make_relu6},
      {"rms_norm", make_rms_norm},
      {"sequence_mean", make_sequence_mean},
      {"sigmoid", make_sigmoid},
      {"silu", make_silu},
      {"tanh", make_tanh},
  };
  return all;
}

std::string known_types() {
  std::string text;
  for (const auto& [type, maker] : makers()) text += (text.empty() ? "" : ", ") + type;
  return text;
}

}  // namespace

std::size_t OpScratch::floats(std::size_t rows, std::size_t cols, std::size_t lanes) {
  // One tile of rows more than needed: strips a power of two apart would compete for the same cache sets.
  return round_up(cols, lanes) * (round_up(rows, kernels::kRowTile) + kernels::kRowTile);
}

kernels::Strips OpScratch::strips(std::size_t rows, std::size_t cols) {
  const std::size_t stride = (round_up(rows, kernels::kRowTile) + kernels::kRowTile) * lanes_;
  const kernels::Strips result{storage_.data() + used_, rows, cols, stride};
  used_ += floats(rows, cols, lanes_);
  return result;
}

void Op::pack(std::span<const std::span<const float>>) {}

std::unique_ptr<Op> make_op(const LayerDescription& layer, std::span<const ValueShape> inputs) {
  const auto maker = makers().find(layer.type);
  if (maker == makers().end())
    throw UnsupportedError("layer '" + layer.name + "' has type '" + layer.type +
                           "', which is not supported; replace it by the supported ones: " + known_types());
  LayerFields fields(layer);
  std::unique_ptr<Op> op = maker->second(fields, inputs);
  std::set<std::string> roles;
  for (const OpParameter& parameter : op->parameters()) roles.insert(parameter.role);
  fields.check_all_used(roles);
  return op;
}

}  // namespace fisherdiag
