// Token ids to vectors, and the vectors of positions.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/nn/ops.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

namespace {

/// Of uniform numbers with the variance of torch.nn.Embedding's normal ones.
constexpr double kBound = std::numbers::sqrt3;

/// to += (kernels::kSquareScale added)^2.
void add_squares(std::span<const double> added, double* to) {
  for (std::size_t c = 0; c < added.size(); ++c) {
    const double scaled = static_cast<double>(kernels::kSquareScale) * added[c];
    to[c] += scaled * scaled;
  }
}

/// y_t = row x_t of the table. A sample's gradient of a row is the sum of the sensitivities at the positions
/// that hold its token; it is formed for the sample's own tokens only.
class EmbeddingOp final : public Op {
 public:
  EmbeddingOp(LayerFields& fields, const ValueShape& input)
      : name_(fields.name()),
        positions_(input.positions()),
        vocabulary_(fields.size("tokens")),
        features_(fields.size("out")) {
    if (input.features != 1 || input.channels_first || input.grid.size() != 1)
      fields.fail("takes a sequence of token ids, not " + input.text());
    if (vocabulary_ > kMostTokens)
      fields.fail("'tokens' is above " + std::to_string(kMostTokens) +
                  ", the most that float ids tell apart");
    if (fields.has("padding_idx")) padding_ = fields.sizes("padding_idx", 1, std::nullopt, 0)[0];
    output_ = {input.grid, features_, false};
    parameters_ = {{"weight", {vocabulary_, features_}, true, 0, kBound}};
  }

  std::size_t tokens() const override { return vocabulary_; }
  OpFlops flops() const override {
    return {0, 0, 2.0 * static_cast<double>(positions_) * static_cast<double>(features_), false};
  }

  void prepare(const kernels::KernelTable& kernels) override {
    Op::prepare(kernels);
    table_ = AlignedBuffer<float>(vocabulary_ * features_);
  }
  void pack(std::span<const std::span<const float>> parameters) override {
    std::ranges::copy(parameters[0], table_.begin());
  }
  std::size_t packed_bytes(std::size_t) const override {
    return aligned_bytes(vocabulary_ * features_ * sizeof(float));
  }
  std::size_t scratch_floats(std::size_t lanes) const override {
    return OpScratch::floats(2, features_ + lanes, lanes);
  }

  void forward(const OpForward& f) const override {
    const std::size_t lanes = kernels().lanes;
    for (std::size_t r = 0; r < f.output.rows; ++r) {
      const float id = f.inputs[0].data[r * lanes];
      if (!(id >= 0 && id < static_cast<float>(vocabulary_)) || id != std::floor(id)) throw_bad_token(f, r);
      ops::write_block(table_.data() + static_cast<std::size_t>(id) * features_, features_, false, f.output,
                       r, 1, 0, features_, lanes);
    }
  }
  void backward(const OpBackward&) const override {}  // token ids have no sensitivities

  GradientMatrix gradient_matrix() const override { return {vocabulary_, features_}; }
  std::size_t accumulate_samples() const override { return 64; }

  void accumulate(const OpAccumulate& a) const override {
    std::vector<double> added;  // to a token's row by all seeds
    for (std::size_t n = 0; n < a.samples; ++n)
      for_tokens(a, n, a.deltas, [&](std::size_t token, std::size_t seed, std::span<const float> gradient) {
        const std::size_t place = token * features_ + a.strip_begin * kernels().lanes;
        if (seed == 0) added.assign(gradient.size(), 0.0);
        for (std::size_t c = 0; c < gradient.size(); ++c) {
          const auto square = static_cast<double>(gradient[c] * gradient[c]);
          a.sums[place + c] += square;
          added[c] += square;
        }
        if (seed + 1 < a.deltas.size()) return;
        if (a.traces) a.traces[n] += std::accumulate(added.begin(), added.end(), 0.0);
        if (a.squares) add_squares(added, a.squares + place);
      });
  }

  bool sums_squares() const override { return true; }

  void add_gradient(const OpAccumulate& a, float* target, std::size_t stride) const override {
    for (std::size_t n = 0; n < a.samples; ++n)
      for_tokens(a, n, a.deltas.first(1),
                 [&](std::size_t token, std::size_t, std::span<const float> gradient) {
                   for (std::size_t c = 0; c < gradient.size(); ++c)
                     target[token * stride + c] += gradient[c];
                 });
  }

 private:
  static constexpr std::size_t kMostTokens = std::size_t{1} << 24;

  /// Calls f(token, seed, gradient of its row) for each different token of sample n and each seed.
  template <class F>
  void for_tokens(const OpAccumulate& a, std::size_t n, std::span<const kernels::ConstStrips> deltas,
                  const F& f) const {
    const std::size_t lanes = kernels().lanes, first = a.strip_begin * lanes;
    const std::size_t columns = std::min(a.strip_end * lanes, features_) - first;
    a.scratch->reset();
    float* sum = a.scratch->strips(1, columns).data;
    std::vector<std::pair<std::size_t, std::size_t>> uses;  // token and row, in their order
    for (std::size_t r = n * positions_; r < (n + 1) * positions_; ++r)
      uses.emplace_back(static_cast<std::size_t>(a.input.data[r * lanes]), r);
    std::ranges::sort(uses);
    for (std::size_t begin = 0, end = 0; begin < uses.size(); begin = end) {
      const std::size_t token = uses[begin].first;
      while (end < uses.size() && uses[end].first == token) ++end;
      for (std::size_t seed = 0; token != padding_ && seed < deltas.size(); ++seed) {
        const kernels::ConstStrips& delta = deltas[seed];
        std::fill_n(sum, columns, 0.f);
        for (std::size_t u = begin; u < end; ++u)
          for (std::size_t strip = a.strip_begin; strip < a.strip_end; ++strip) {
            const float* from = delta.data + strip * delta.stride + uses[u].second * lanes;
            const std::size_t c = strip * lanes - first;
            for (std::size_t l = 0; l < std::min(lanes, columns - c); ++l) sum[c + l] += from[l];
          }
        f(token, seed, std::span<const float>(sum, columns));
      }
    }
  }

  [[noreturn]] void throw_bad_token(const OpForward& f, std::size_t row) const {
    const std::size_t n = row / positions_;
    throw DataError("sample " + std::to_string(f.sample_ids ? f.sample_ids[n] : n) + ": position " +
                    std::to_string(row % positions_) + " holds " +
                    std::to_string(f.inputs[0].data[row * kernels().lanes]) + ", but layer '" + name_ +
                    "' takes token ids from 0 to " + std::to_string(vocabulary_ - 1));
  }

  std::string name_;
  std::size_t positions_, vocabulary_, features_;
  std::optional<std::size_t> padding_;
  AlignedBuffer<float> table_;  // [tokens, features]
};

/// y_t = x_t + row t of the table.
class PositionalEmbeddingOp final : public Op {
 public:
  PositionalEmbeddingOp(LayerFields& fields, const ValueShape& input)
      : positions_(input.positions()), features_(input.features), length_(fields.size("length", positions_)) {
    if (input.channels_first || input.grid.size() != 1) fields.fail("takes a sequence, not " + input.text());
    if (length_ < positions_)
      fields.fail("'length' is " + std::to_string(length_) + " but its input has " +
                  std::to_string(positions_) + " positions");
    output_ = input;
    parameters_ = {{"weight", {length_, features_}, true, 0, kBound}};
  }

  OpFlops flops() const override {
    return {0, 0, 2.0 * static_cast<double>(positions_) * static_cast<double>(features_), false};
  }

  void prepare(const kernels::KernelTable& kernels) override {
    Op::prepare(kernels);
    table_ = StripBuffer(positions_, features_, kernels.lanes);
  }
  void pack(std::span<const std::span<const float>> parameters) override {
    kernels().to_strips(parameters[0].data(), features_, table_.view(), {});
  }
  std::size_t packed_bytes(std::size_t lanes) const override {
    return StripBuffer::bytes(positions_, features_, lanes);
  }

  void forward(const OpForward& f) const override {
    const std::size_t lanes = kernels().lanes;
    ops::copy(kernels(), f.inputs[0], false, f.output);
    for (std::size_t n = 0; n < f.samples; ++n)
      ops::copy(kernels(), table_.view(), true, ops::rows_of(f.output, n * positions_, positions_, lanes));
  }
  void backward(const OpBackward& b) const override {
    if (b.below[0].data) ops::copy(kernels(), b.delta, b.add[0], b.below[0]);
  }

  GradientMatrix gradient_matrix() const override { return {length_, features_}; }
  std::size_t accumulate_samples() const override { return 64; }

  void accumulate(const OpAccumulate& a) const override {
    for (const kernels::ConstStrips& delta : a.deltas)
      for_rows(a, delta, [&](std::size_t r, std::size_t column, const float* d, std::size_t count) {
        double* to = a.sums + r % positions_ * features_ + column;
        double trace = 0;
        for (std::size_t l = 0; l < count; ++l) {
          const auto square = static_cast<double>(d[l] * d[l]);
          to[l] += square;
          trace += square;
        }
        if (a.traces) a.traces[r / positions_] += trace;
      });
    if (a.squares) add_row_squares(a);
  }
  bool sums_squares() const override { return true; }

  void add_gradient(const OpAccumulate& a, float* target, std::size_t stride) const override {
    const std::size_t first = a.strip_begin * kernels().lanes;
    for_rows(a, a.deltas[0], [&](std::size_t r, std::size_t column, const float* d, std::size_t count) {
      float* to = target + r % positions_ * stride + column - first;
      for (std::size_t l = 0; l < count; ++l) to[l] += d[l];
    });
  }

 private:
  /// Calls f(row, first column, sensitivities, columns) for each row of each strip asked for.
  template <class F>
  void for_rows(const OpAccumulate& a, const kernels::ConstStrips& delta, const F& f) const {
    const std::size_t lanes = kernels().lanes;
    for (std::size_t strip = a.strip_begin; strip < a.strip_end; ++strip)
      for (std::size_t r = 0; r < a.samples * positions_; ++r)
        f(r, strip * lanes, delta.data + strip * delta.stride + r * lanes,
          std::min(lanes, features_ - strip * lanes));
  }

  /// OpAccumulate::squares: a sample's gradient of row t is its sensitivity at position t.
  void add_row_squares(const OpAccumulate& a) const {
    const std::size_t lanes = kernels().lanes;
    std::vector<double> added(lanes);
    for (std::size_t strip = a.strip_begin; strip < a.strip_end; ++strip)
      for (std::size_t r = 0; r < a.samples * positions_; ++r) {
        added.assign(std::min(lanes, features_ - strip * lanes), 0.0);
        for (const kernels::ConstStrips& delta : a.deltas) {
          const float* d = delta.data + strip * delta.stride + r * lanes;
          for (std::size_t l = 0; l < added.size(); ++l) added[l] += static_cast<double>(d[l] * d[l]);
        }
        add_squares(added, a.squares + r % positions_ * features_ + strip * lanes);
      }
  }

  std::size_t positions_, features_, length_;
  StripBuffer table_;  // [positions, features]
};

}  // namespace

std::unique_ptr<Op> make_embedding(LayerFields& fields, std::span<const ValueShape> inputs) {
  return std::make_unique<EmbeddingOp>(fields, ops::only_input(fields, inputs));
}

std::unique_ptr<Op> make_positional_embedding(LayerFields& fields, std::span<const ValueShape> inputs) {
  return std::make_unique<PositionalEmbeddingOp>(fields, ops::only_input(fields, inputs));
}

}  // namespace fisherdiag
