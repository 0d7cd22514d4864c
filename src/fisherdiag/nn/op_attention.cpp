// Scaled dot-product attention of several heads, without parameters of its own.
#include <algorithm>
#include <cmath>
#include <optional>

#include "fisherdiag/nn/ops.hpp"

namespace fisherdiag {

namespace {

/// For each head, with its columns q, k, v [positions, width] of the inputs: P = softmax(q k^T / sqrt(width))
/// over the keys that are allowed, y = P v (Vaswani et al., arXiv:1706.03762, section 3.2).
class AttentionOp final : public Op {
 public:
  AttentionOp(LayerFields& fields, std::span<const ValueShape> inputs) {
    masked_ = fields.has("padding_idx");
    if (masked_) padding_ = static_cast<float>(fields.sizes("padding_idx", 1, std::nullopt, 0)[0]);
    const std::size_t values = inputs.size() - (masked_ ? 1 : 0);
    packed_ = values == 1;
    if (inputs.empty() || (values != 1 && values != 3))
      fields.fail(std::string("takes queries, keys and values, as one input or three") +
                  (masked_ ? ", and the token ids" : "") + ", not " + std::to_string(inputs.size()) +
                  " inputs");
    check_shapes(fields, inputs, values);
    output_ = inputs[0];
    output_.features = features_;
    heads_ = fields.size("heads", 1);
    if (features_ % heads_ != 0)
      fields.fail("'heads' is " + std::to_string(heads_) + ", which does not divide " +
                  std::to_string(features_) + " features");
    width_ = features_ / heads_;
    causal_ = fields.flag("causal", false);
  }

  OpFlops flops() const override {
    const double product = 2.0 * static_cast<double>(positions_) * static_cast<double>(positions_) *
                           static_cast<double>(features_);
    return {2 * product, 4 * product, 0, false};
  }

  std::size_t scratch_floats(std::size_t lanes) const override {
    const std::size_t tall = OpScratch::floats(positions_, width_, lanes);
    const std::size_t square = OpScratch::floats(positions_, positions_, lanes);
    const std::size_t flat = OpScratch::floats(width_, positions_, lanes);
    return 14 * tall + 7 * square + 2 * flat;
  }

  void forward(const OpForward& f) const override;
  void backward(const OpBackward& b) const override {
    for (std::size_t j = 1; j < b.below.size(); ++j)  // one value may stand for several
      for (std::size_t i = 0; i < j; ++i)
        if (b.below[i].data && b.below[i].data == b.below[j].data) return backward_shared(b);
    for (std::size_t n = 0; n < b.samples; ++n)
      for (std::size_t h = 0; h < heads_; ++h) backward_head(b, n, h, b.add);
  }

 private:
  struct Head;

  void check_shapes(LayerFields& fields, std::span<const ValueShape> inputs, std::size_t values) {
    const ValueShape& first = inputs[0];
    if (first.channels_first || first.grid.size() != 1) fields.fail("takes sequences, not " + first.text());
    for (std::size_t j = 1; j < values; ++j)
      if (inputs[j] != first)
        fields.fail("takes queries, keys and values of one shape, not " + first.text() + " and " +
                    inputs[j].text());
    if (packed_ && first.features % 3 != 0)
      fields.fail("takes queries, keys and values side by side, which " + std::to_string(first.features) +
                  " features cannot be");
    if (masked_ && (inputs.back().features != 1 || inputs.back().grid != first.grid))
      fields.fail("takes token ids as its last input where 'padding_idx' is given, not " +
                  inputs.back().text());
    positions_ = first.positions();
    features_ = packed_ ? first.features / 3 : first.features;
  }

  /// Where part 0 (queries), 1 (keys) or 2 (values) of head h is: an input and its first column.
  std::size_t input_of(std::size_t part) const { return packed_ ? 0 : part; }
  std::size_t column_of(std::size_t part, std::size_t h) const {
    return (packed_ ? part * features_ : 0) + h * width_;
  }

  void write(const kernels::ConstStrips& from, bool add, const kernels::Strips& to, std::size_t n,
             std::size_t column, Head& head) const;
  void backward_head(const OpBackward& b, std::size_t n, std::size_t h, std::span<const bool> add) const;
  void backward_shared(const OpBackward& b) const;

  bool packed_ = false, masked_ = false, causal_ = false;
  float padding_ = 0;
  std::size_t positions_ = 0, features_ = 0, heads_ = 1, width_ = 0;
};

/// One head of one sample at work, row-major, and its probabilities.
struct AttentionOp::Head {
  Head(const AttentionOp& op, std::span<const kernels::ConstStrips> inputs, std::size_t n, std::size_t h,
       OpScratch& scratch_)
      : table(op.kernels()), scratch(scratch_), positions(op.positions_) {
    const std::size_t lanes = table.lanes;
    float** parts[] = {&q, &k, &v};
    for (std::size_t part = 0; part < 3; ++part) {
      *parts[part] = scratch.strips(positions, op.width_).data;
      ops::read_block(inputs[op.input_of(part)], n * positions, positions, op.column_of(part, h), op.width_,
                      lanes, *parts[part], op.width_);
    }
    p = rows(product(strips(q, op.width_), transposed(k, op.width_)));
    allow(op, op.masked_ ? inputs.back().data + n * positions * lanes : nullptr);
  }

  /// A row-major matrix [positions, cols] in strips.
  kernels::Strips strips(const float* m, std::size_t cols) {
    const kernels::Strips result = scratch.strips(positions, cols);
    table.to_strips(m, cols, result, {});
    return result;
  }
  /// Its transpose [cols, positions].
  kernels::Strips transposed(const float* m, std::size_t cols) {
    const kernels::Strips result = scratch.strips(cols, positions);
    table.transpose_to_strips(m, cols, result);
    return result;
  }
  kernels::Strips product(const kernels::Strips& a, const kernels::Strips& b) {
    const kernels::Strips result = scratch.strips(a.rows, b.cols);
    kernels::GemmArguments g;
    g.a = a;
    g.b = b;
    g.c = result;
    table.gemm(g);
    return result;
  }
  float* rows(const kernels::Strips& m) {
    float* result = scratch.strips(m.rows, m.cols).data;
    table.from_strips(m, result, m.cols);
    return result;
  }

  /// Products q k^T in p become probabilities; 0 for keys that are masked, everywhere if all are.
  void allow(const AttentionOp& op, const float* tokens) {
    constexpr float kNever = -1e30f;  // exp() of it is 0, and it can be subtracted from itself
    const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(op.width_)));
    const auto masked = [&](std::size_t t, std::size_t s) {
      return (op.causal_ && s > t) || (tokens && tokens[s * table.lanes] == op.padding_);
    };
    for (std::size_t t = 0; t < positions; ++t)
      for (std::size_t s = 0; s < positions; ++s) {
        float& value = p[t * positions + s];
        value = masked(t, s) ? kNever : scale * value;
      }
    table.softmax_rows(p, positions, p, positions, positions, positions, nullptr);
    if (!op.causal_ && !tokens) return;
    for (std::size_t t = 0; t < positions; ++t)
      for (std::size_t s = 0; s < positions; ++s)
        if (masked(t, s)) p[t * positions + s] = 0;
  }

  const kernels::KernelTable& table;
  OpScratch& scratch;
  std::size_t positions;
  float *q = nullptr, *k = nullptr, *v = nullptr;  // [positions, width]
  float* p = nullptr;                              // [positions, positions]
};

void AttentionOp::write(const kernels::ConstStrips& from, bool add, const kernels::Strips& to, std::size_t n,
                        std::size_t column, Head& head) const {
  float* rows = head.scratch.strips(positions_, width_).data;
  kernels().from_strips(from, rows, width_);
  ops::write_block(rows, width_, add, to, n * positions_, positions_, column, width_, kernels().lanes);
}

void AttentionOp::forward(const OpForward& f) const {
  for (std::size_t n = 0; n < f.samples; ++n)
    for (std::size_t h = 0; h < heads_; ++h) {
      f.scratch->reset();
      Head head(*this, f.inputs, n, h, *f.scratch);
      const kernels::Strips p = head.strips(head.p, positions_);
      write(head.product(p, head.strips(head.v, width_)), false, f.output, n, h * width_, head);
    }
}

/// With D the output's sensitivities: V' = P^T D, S' = P (D V^T - rowsum(P D V^T)) / sqrt(width), Q' = S' K,
/// K' = S'^T Q.
void AttentionOp::backward_head(const OpBackward& b, std::size_t n, std::size_t h,
                                std::span<const bool> add) const {
  b.scratch->reset();
  Head head(*this, b.inputs, n, h, *b.scratch);
  float* d = b.scratch->strips(positions_, width_).data;
  ops::read_block(b.delta, n * positions_, positions_, h * width_, width_, kernels().lanes, d, width_);
  const kernels::Strips delta = head.strips(d, width_);
  const auto give = [&](std::size_t part, const kernels::Strips& gradient) {
    const std::size_t j = input_of(part);
    write(gradient, add[j], b.below[j], n, column_of(part, h), head);
  };
  if (b.below[input_of(2)].data) give(2, head.product(head.transposed(head.p, positions_), delta));
  float* s = head.rows(head.product(delta, head.transposed(head.v, width_)));
  const double scale = 1 / std::sqrt(static_cast<double>(width_));
  for (std::size_t t = 0; t < positions_; ++t) {
    const float* p = head.p + t * positions_;
    float* row = s + t * positions_;
    double mean = 0;
    for (std::size_t c = 0; c < positions_; ++c) mean += static_cast<double>(p[c] * row[c]);
    for (std::size_t c = 0; c < positions_; ++c)
      row[c] = static_cast<float>(static_cast<double>(p[c]) * (static_cast<double>(row[c]) - mean) * scale);
  }
  if (b.below[input_of(0)].data)
    give(0, head.product(head.strips(s, positions_), head.strips(head.k, width_)));
  if (b.below[input_of(1)].data)
    give(1, head.product(head.transposed(s, positions_), head.strips(head.q, width_)));
}

/// One value is several of queries, keys and values: what the first writes the others add to.
void AttentionOp::backward_shared(const OpBackward& b) const {
  bool add[4] = {};
  for (std::size_t j = 0; j < b.below.size(); ++j) {
    if (b.below[j].data && !b.add[j]) ops::clear(b.below[j], kernels().lanes);
    add[j] = true;
  }
  for (std::size_t n = 0; n < b.samples; ++n)
    for (std::size_t h = 0; h < heads_; ++h)
      backward_head(b, n, h, std::span<const bool>(add, b.below.size()));
}

}  // namespace

std::unique_ptr<Op> make_attention(LayerFields& fields, std::span<const ValueShape> inputs) {
  return std::make_unique<AttentionOp>(fields, inputs);
}

}  // namespace fisherdiag
