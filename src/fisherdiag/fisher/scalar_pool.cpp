// Pooling: the largest or the mean of what a window sees.
#include <algorithm>

#include "fisherdiag/fisher/scalar_rules.hpp"

namespace fisherdiag::scalar {

namespace {

/// What one place of a window covers along one dimension.
struct Range {
  std::vector<std::size_t> inside;  ///< of the grid
  std::size_t all = 0;              ///< padding included
};

/// Along one dimension, for every place.
std::vector<Range> ranges(const LayerDescription& layer, std::size_t d, std::size_t rank, std::size_t size,
                          std::size_t places) {
  std::vector<Range> result(places);
  if (layer.type.starts_with("adaptive")) {
    for (std::size_t p = 0; p < places; ++p) {
      for (std::size_t i = p * size / places; i * places < (p + 1) * size; ++i) result[p].inside.push_back(i);
      result[p].all = result[p].inside.size();
    }
    return result;
  }
  LayerFields fields(layer);
  const std::size_t kernel = fields.sizes("kernel", rank)[d];
  const std::size_t stride = fields.has("stride") ? fields.sizes("stride", rank)[d] : kernel;
  const std::size_t padding = fields.sizes("padding", rank, 0, 0)[d];
  const std::size_t dilation = fields.sizes("dilation", rank, 1)[d];
  for (std::size_t p = 0; p < places; ++p) {
    result[p].all = kernel;
    for (std::size_t k = 0; k < kernel; ++k) {
      const std::size_t padded = p * stride + k * dilation;
      if (padded >= padding && padded - padding < size) result[p].inside.push_back(padded - padding);
    }
  }
  return result;
}

struct MaxPoolLayer {
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    Vector<Real> output;
    for (const PoolWindow& window : pool_windows(call))
      output.push_back((*call.inputs[0])[largest_of(*call.inputs[0], window.inputs)]);
    return output;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerGradients g(call);
    const std::vector<PoolWindow> windows = pool_windows(call);
    for (std::size_t e = 0; e < delta.size(); ++e)
      g.inputs[0][largest_of(*call.inputs[0], windows[e].inputs)] += delta[e];
    return g;
  }
};

struct MeanPoolLayer {
  template <class Real>
  static Vector<Real> forward(const LayerCall<Real>& call) {
    Vector<Real> output;
    for (const PoolWindow& window : pool_windows(call)) {
      Real sum = 0;
      for (const std::size_t i : window.inputs) sum += (*call.inputs[0])[i];
      output.push_back(sum * static_cast<Real>(window.share));
    }
    return output;
  }
  static LayerGradients backward(const LayerCall<double>& call, const Vector<double>& delta) {
    LayerGradients g(call);
    const std::vector<PoolWindow> windows = pool_windows(call);
    for (std::size_t e = 0; e < delta.size(); ++e)
      for (const std::size_t i : windows[e].inputs) g.inputs[0][i] += delta[e] * windows[e].share;
    return g;
  }
};

}  // namespace

template <class Real>
std::vector<PoolWindow> pool_windows(const LayerCall<Real>& call) {
  const std::vector<std::size_t>&grid = call.shapes[0].grid, &places = call.output.grid;
  const std::size_t rank = grid.size(), width = grid.back(), height = rank == 2 ? grid[0] : 1;
  const std::vector<Range> columns = ranges(call.layer, rank - 1, rank, width, places.back());
  const std::vector<Range> rows =
      rank == 2 ? ranges(call.layer, 0, rank, height, places[0]) : std::vector<Range>{{{0}, 1}};
  const bool padded = LayerFields(call.layer).flag("count_include_pad", true);
  std::vector<PoolWindow> windows;
  for (std::size_t c = 0; c < call.output.features; ++c)
    for (const Range& row : rows)
      for (const Range& column : columns) {
        PoolWindow window;
        for (const std::size_t y : row.inside)
          for (const std::size_t x : column.inside) window.inputs.push_back((c * height + y) * width + x);
        window.share = 1 / static_cast<double>(padded ? row.all * column.all : window.inputs.size());
        windows.push_back(std::move(window));
      }
  return windows;
}

template std::vector<PoolWindow> pool_windows(const LayerCall<double>&);
template std::vector<PoolWindow> pool_windows(const LayerCall<long double>&);

LayerRule max_pool_rule() {
  return rule_of<MaxPoolLayer>();
}
LayerRule mean_pool_rule() {
  return rule_of<MeanPoolLayer>();
}

}  // namespace fisherdiag::scalar
