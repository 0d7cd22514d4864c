// Pooling: the largest or the mean of what a window sees.
#include <algorithm>

#include "fisherdiag/nn/ops.hpp"
#include "fisherdiag/nn/position_table.hpp"

namespace fisherdiag {

namespace {

/// The positions each output position sees; those outside the grid are left out.
struct Windows {
  std::vector<std::int32_t> begin;      // [places + 1], into positions
  std::vector<std::int32_t> positions;  // of the input
  std::vector<float> share;             // [places]: of the mean

  /// Each of `count` positions is in exactly one window.
  bool partition(std::size_t count) const {
    std::vector<std::int32_t> sorted = positions;
    std::ranges::sort(sorted);
    return sorted.size() == count && std::ranges::adjacent_find(sorted) == sorted.end();
  }
};

class PoolOp : public Op {
 public:
  PoolOp(const ValueShape& input, std::vector<std::size_t> places, Windows windows)
      : windows_(std::move(windows)),
        input_positions_(input.positions()),
        is_partition_(windows_.partition(input_positions_)) {
    output_ = input;
    output_.grid = std::move(places);
  }

 protected:
  /// Calls f(offset of the output vector, window's input offsets relative to the strip and sample, ...) for
  /// every sample, strip and place.
  template <class F>
  void for_each(std::size_t samples, const F& f) const {
    const std::size_t lanes = kernels().lanes, places = output_.positions();
    for (std::size_t strip = 0; strip * lanes < output_.features; ++strip)
      for (std::size_t n = 0; n < samples; ++n)
        for (std::size_t t = 0; t < places; ++t) f(strip, n * input_positions_, (n * places + t) * lanes, t);
  }

  Windows windows_;
  std::size_t input_positions_;
  bool is_partition_;
};

class MaxPoolOp final : public PoolOp {
 public:
  using PoolOp::PoolOp;

  void forward(const OpForward& f) const override { kernels().max_pool(table(), f.inputs[0], f.output); }
  void backward(const OpBackward& b) const override {
    if (!b.below[0].data) return;
    const bool write = !b.add[0] && is_partition_;
    if (!b.add[0] && !write) ops::clear(b.below[0], kernels().lanes);
    kernels().max_pool_backward({table(), b.inputs[0], b.output, b.delta, b.below[0], write});
  }

 private:
  kernels::PoolWindows table() const {
    return {windows_.begin.data(), windows_.positions.data(), output_.positions(), input_positions_};
  }
};

class MeanPoolOp final : public PoolOp {
 public:
  using PoolOp::PoolOp;

  void forward(const OpForward& f) const override {
    const std::size_t lanes = kernels().lanes;
    for_each(f.samples, [&](std::size_t strip, std::size_t base, std::size_t to, std::size_t t) {
      const float* in = f.inputs[0].data + strip * f.inputs[0].stride;
      float* out = f.output.data + strip * f.output.stride + to;
      std::fill_n(out, lanes, 0.f);
      for (std::int32_t j = windows_.begin[t]; j < windows_.begin[t + 1]; ++j)
        for (std::size_t i = 0; i < lanes; ++i)
          out[i] += in[(base + static_cast<std::size_t>(windows_.positions[j])) * lanes + i];
      for (std::size_t i = 0; i < lanes; ++i) out[i] *= windows_.share[t];
    });
  }

  void backward(const OpBackward& b) const override {
    const kernels::Strips& below = b.below[0];
    if (!below.data) return;
    const std::size_t lanes = kernels().lanes;
    if (!b.add[0]) ops::clear(below, lanes);
    for_each(b.samples, [&](std::size_t strip, std::size_t base, std::size_t at, std::size_t t) {
      const float* delta = b.delta.data + strip * b.delta.stride + at;
      float* to = below.data + strip * below.stride;
      for (std::int32_t j = windows_.begin[t]; j < windows_.begin[t + 1]; ++j)
        for (std::size_t i = 0; i < lanes; ++i)
          to[(base + static_cast<std::size_t>(windows_.positions[j])) * lanes + i] +=
              windows_.share[t] * delta[i];
    });
  }
};

const ValueShape& grid_input(const LayerFields& fields, std::span<const ValueShape> inputs,
                             std::size_t rank) {
  const ValueShape& input = ops::only_input(fields, inputs);
  if (input.grid.size() != rank || !input.channels_first)
    fields.fail("takes inputs with channels and " + std::to_string(rank) +
                (rank == 1 ? " dimension" : " dimensions") + ", not " + input.text());
  return input;
}

/// The window of a sliding pooling and its places on the grid of `input`.
Window sliding_window(LayerFields& fields, const ValueShape& input, bool may_dilate,
                      std::vector<std::size_t>& places) {
  const std::size_t rank = input.grid.size();
  Window w;
  w.kernel = fields.sizes("kernel", rank);
  w.stride = fields.has("stride") ? fields.sizes("stride", rank) : w.kernel;
  w.padding = fields.sizes("padding", rank, 0, 0);
  w.dilation = may_dilate ? fields.sizes("dilation", rank, 1) : std::vector<std::size_t>(rank, 1);
  for (std::size_t d = 0; d < rank; ++d) {
    if (2 * w.padding[d] > w.kernel[d]) fields.fail("'padding' must be at most half of 'kernel'");
    places.push_back(w.places(d, input.grid[d]));
    if (places.back() == 0) fields.fail("its kernel does not fit its input " + input.text());
  }
  return w;
}

/// `counts_padding`: padding counts as zeros in a mean, as PyTorch has it by default.
Windows windows_of(const Window& w, const std::vector<std::size_t>& places,
                   const std::vector<std::size_t>& grid, bool counts_padding) {
  const std::vector<std::int32_t> rows = position_table(w, places, grid);
  const std::size_t count = rows.size() / w.taps();
  Windows windows{{0}, {}, {}};
  for (std::size_t t = 0; t < count; ++t) {
    for (std::size_t tap = 0; tap < w.taps(); ++tap)
      if (const std::int32_t row = rows[tap * count + t]; row != kernels::kNoRow)
        windows.positions.push_back(row);
    const std::size_t inside = windows.positions.size() - windows.begin.back();
    windows.share.push_back(1 / static_cast<float>(counts_padding ? w.taps() : inside));
    windows.begin.push_back(static_cast<std::int32_t>(windows.positions.size()));
  }
  return windows;
}

/// Place i of `places` sees [floor(i size / places), ceil((i + 1) size / places)), as in PyTorch.
Windows adaptive_windows(const std::vector<std::size_t>& grid, const std::vector<std::size_t>& out) {
  const bool image = grid.size() == 2;
  const std::size_t height = image ? grid[0] : 1, width = grid.back();
  const std::size_t rows = image ? out[0] : 1, columns = out.back();
  Windows windows{{0}, {}, {}};
  for (std::size_t py = 0; py < rows; ++py)
    for (std::size_t px = 0; px < columns; ++px) {
      for (std::size_t y = py * height / rows; y < ((py + 1) * height + rows - 1) / rows; ++y)
        for (std::size_t x = px * width / columns; x < ((px + 1) * width + columns - 1) / columns; ++x)
          windows.positions.push_back(static_cast<std::int32_t>(y * width + x));
      windows.share.push_back(1 / static_cast<float>(windows.positions.size() - windows.begin.back()));
      windows.begin.push_back(static_cast<std::int32_t>(windows.positions.size()));
    }
  return windows;
}

std::unique_ptr<Op> make_max_pool(LayerFields& fields, std::span<const ValueShape> inputs, std::size_t rank) {
  const ValueShape& input = grid_input(fields, inputs, rank);
  std::vector<std::size_t> places;
  const Window window = sliding_window(fields, input, true, places);
  Windows windows = windows_of(window, places, input.grid, true);
  for (std::size_t t = 0; t + 1 < windows.begin.size(); ++t)
    if (windows.begin[t] == windows.begin[t + 1]) fields.fail("a window sees nothing but padding");
  return std::make_unique<MaxPoolOp>(input, std::move(places), std::move(windows));
}

std::unique_ptr<Op> make_avg_pool(LayerFields& fields, std::span<const ValueShape> inputs, std::size_t rank) {
  const ValueShape& input = grid_input(fields, inputs, rank);
  std::vector<std::size_t> places;
  const Window window = sliding_window(fields, input, false, places);
  Windows windows = windows_of(window, places, input.grid, fields.flag("count_include_pad", true));
  return std::make_unique<MeanPoolOp>(input, std::move(places), std::move(windows));
}

std::unique_ptr<Op> make_adaptive_avg_pool(LayerFields& fields, std::span<const ValueShape> inputs,
                                           std::size_t rank) {
  const ValueShape& input = grid_input(fields, inputs, rank);
  std::vector<std::size_t> places = fields.sizes("out", rank);
  Windows windows = adaptive_windows(input.grid, places);
  return std::make_unique<MeanPoolOp>(input, std::move(places), std::move(windows));
}

}  // namespace

std::unique_ptr<Op> make_max_pool1d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_max_pool(fields, inputs, 1);
}
std::unique_ptr<Op> make_max_pool2d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_max_pool(fields, inputs, 2);
}
std::unique_ptr<Op> make_avg_pool1d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_avg_pool(fields, inputs, 1);
}
std::unique_ptr<Op> make_avg_pool2d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_avg_pool(fields, inputs, 2);
}
std::unique_ptr<Op> make_adaptive_avg_pool1d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_adaptive_avg_pool(fields, inputs, 1);
}
std::unique_ptr<Op> make_adaptive_avg_pool2d(LayerFields& fields, std::span<const ValueShape> inputs) {
  return make_adaptive_avg_pool(fields, inputs, 2);
}

}  // namespace fisherdiag
