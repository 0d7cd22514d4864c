#include "fisher/baselines.hpp"

#include <algorithm>
#include <vector>

#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/packed_network.hpp"

namespace fisherdiag::bench {

namespace {

/// Parameters one task squares and adds.
constexpr std::size_t kSliceParameters = 16384;

/// Forward and backward of a small batch; leaves every layer's inputs and sensitivities row-major.
class SmallBatch {
 public:
  SmallBatch(const Network& network, std::size_t rows, const Context& context)
      : architecture_(network.architecture()), packed_(architecture_, context) {
    packed_.pack(network, context);
    const std::size_t lanes = packed_.kernels().lanes;
    activations_.emplace_back(rows, architecture_.inputs(), lanes);
    for (const LinearLayer& layer : architecture_.layers()) {
      activations_.emplace_back(rows, layer.outputs, lanes);
      deltas_.emplace_back(rows, layer.outputs, lanes);
      inputs_.emplace_back(rows * layer.inputs);
      sensitivities_.emplace_back(rows * layer.outputs);
    }
    logits_.resize(rows * architecture_.outputs());
    samples_.resize(rows);
  }

  void run(MatrixView<const float> inputs, MatrixView<const float> labels) {
    const kernels::KernelTable& k = packed_.kernels();
    const std::size_t n = inputs.rows, layers = deltas_.size(), outputs = architecture_.outputs();
    k.to_strips(inputs.data, inputs.stride, activations_[0].rows(0, n), {});
    for (std::size_t l = 0; l < layers; ++l)
      packed_.forward(l, activations_[l].rows(0, n), activations_[l + 1].rows(0, n), {});
    k.from_strips(activations_[layers].rows(0, n), logits_.data(), outputs);
    nll_and_residuals(Likelihood::Categorical, {logits_.data(), n, outputs}, labels,
                      std::span(samples_).first(n), k, {sensitivities_[layers - 1].data(), n, outputs});
    k.to_strips(sensitivities_[layers - 1].data(), outputs, deltas_[layers - 1].rows(0, n), {});
    const std::size_t padded = (n + kernels::kRowTile - 1) / kernels::kRowTile * kernels::kRowTile;
    for (std::size_t l = layers - 1; l > 0; --l)
      packed_.backward(l, deltas_[l].rows(0, n), activations_[l].rows(0, padded), deltas_[l - 1].rows(0, n),
                       {}, false);
    for (std::size_t l = 0; l < layers; ++l) {
      k.from_strips(activations_[l].rows(0, n), inputs_[l].data(), architecture_.layers()[l].inputs);
      k.from_strips(deltas_[l].rows(0, n), sensitivities_[l].data(), architecture_.layers()[l].outputs);
    }
  }

  /// Sample n's gradient of layer l, rows [begin, end) of its weight.
  void weight_gradient(std::size_t l, std::size_t n, std::size_t begin, std::size_t end,
                       float* gradient) const {
    const std::size_t inputs = architecture_.layers()[l].inputs, outputs = architecture_.layers()[l].outputs;
    const float* a = inputs_[l].data() + n * inputs;
    for (std::size_t o = begin; o < end; ++o) {
      const float d = sensitivities_[l][n * outputs + o];
      for (std::size_t i = 0; i < inputs; ++i) gradient[(o - begin) * inputs + i] = d * a[i];
    }
  }
  const float* bias_gradient(std::size_t l, std::size_t n) const {
    return sensitivities_[l].data() + n * architecture_.layers()[l].outputs;
  }

 private:
  const Architecture& architecture_;
  PackedNetwork packed_;
  std::vector<StripBuffer> activations_, deltas_;
  std::vector<std::vector<float>> inputs_, sensitivities_;
  std::vector<float> logits_;
  std::vector<std::uint64_t> samples_;
};

void write_gradient(const SmallBatch& batch, const Architecture& architecture, std::size_t n,
                    float* gradient) {
  for (std::size_t l = 0; l < architecture.layers().size(); ++l) {
    const std::size_t outputs = architecture.layers()[l].outputs;
    batch.weight_gradient(l, n, 0, outputs, gradient + architecture.weight_offset(l));
    std::copy_n(batch.bias_gradient(l, n), outputs, gradient + architecture.bias_offset(l));
  }
}

}  // namespace

void loop_fisher(const Network& network, MatrixView<const float> inputs, MatrixView<const float> labels,
                 const Context& context, std::span<double> sum) {
  SmallBatch one(network, 1, context);
  std::vector<float> gradient(sum.size());
  const std::size_t slices = (sum.size() + kSliceParameters - 1) / kSliceParameters;
  for (std::size_t n = 0; n < inputs.rows; ++n) {
    one.run({inputs.row(n), 1, inputs.cols}, {labels.row(n), 1, 1});
    write_gradient(one, network.architecture(), 0, gradient.data());
    context.parallel_for(slices, [&](std::size_t slice, std::size_t) {
      const std::size_t end = std::min(sum.size(), (slice + 1) * kSliceParameters);
      for (std::size_t i = slice * kSliceParameters; i < end; ++i)
        sum[i] += static_cast<double>(gradient[i] * gradient[i]);
    });
  }
}

void add_squares(std::span<const float> gradients, std::size_t rows, const Context& context,
                 std::span<double> sum) {
  const std::size_t parameters = sum.size();
  const std::size_t slices = (parameters + kSliceParameters - 1) / kSliceParameters;
  context.parallel_for(slices, [&](std::size_t slice, std::size_t) {
    const std::size_t end = std::min(parameters, (slice + 1) * kSliceParameters);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = slice * kSliceParameters; i < end; ++i) {
        const float g = gradients[r * parameters + i];
        sum[i] += static_cast<double>(g * g);
      }
  });
}

void materialized_fisher(const Network& network, MatrixView<const float> inputs,
                         MatrixView<const float> labels, const Context& context, std::span<float> gradients,
                         std::span<double> sum) {
  const std::size_t parameters = sum.size(), batch_rows = gradients.size() / parameters;
  SmallBatch batch(network, batch_rows, context);
  for (std::size_t first = 0; first < inputs.rows; first += batch_rows) {
    const std::size_t n = std::min(batch_rows, inputs.rows - first);
    batch.run({inputs.row(first), n, inputs.cols}, {labels.row(first), n, 1});
    context.parallel_for(n, [&](std::size_t r, std::size_t) {
      write_gradient(batch, network.architecture(), r, gradients.data() + r * parameters);
    });
    add_squares(gradients, n, context, sum);
  }
}

}  // namespace fisherdiag::bench
