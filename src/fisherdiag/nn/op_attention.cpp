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
    return 14 * tall + 5 * square + 2 * flat;
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

  float scale() const { return static_cast<float>(1 / std::sqrt(static_cast<double>(width_))); }
  /// Every head's columns are whole strips.
  bool whole_strips() const { return width_ % kernels().lanes == 0; }
  void backward_head(const OpBackward& b, std::size_t n, std::size_t h, std::span<const bool> add) const;
  void backward_shared(const OpBackward& b) const;

  bool packed_ = false, masked_ = false, causal_ = false;
  float padding_ = 0;
  std::size_t positions_ = 0, features_ = 0, heads_ = 1, width_ = 0;
};

/// One head of one sample at work: its queries, keys and values, and its probabilities.
struct AttentionOp::Head {
  Head(const AttentionOp& op_, std::span<const kernels::ConstStrips> inputs, std::size_t n_, std::size_t h,
       OpScratch& scratch_)
      : op(op_), table(op.kernels()), scratch(scratch_), n(n_) {
    kernels::ConstStrips* parts[] = {&q, &k, &v};
    for (std::size_t part = 0; part < 3; ++part)
      *parts[part] = part_of(inputs[op.input_of(part)], op.column_of(part, h));
    p = product(q, transposed(k));
    kernels::MaskedSoftmaxArguments a;
    a.scores = p;
    a.scale = op.scale();
    a.causal = op.causal_;
    if (op.masked_) a.allowed = allowed(inputs.back().data + n * op.positions_ * table.lanes);
    table.masked_softmax(a);
  }

  /// The sample's rows of a head's columns: where they lie if they are whole strips, else a copy.
  kernels::ConstStrips part_of(const kernels::ConstStrips& m, std::size_t column) {
    const std::size_t lanes = table.lanes, first = n * op.positions_;
    if (op.whole_strips()) {
      const kernels::ConstStrips rows = ops::rows_of<const float>(m, first, op.positions_, lanes);
      return ops::columns_of(rows, column / lanes, op.width_);
    }
    float* rows = scratch.strips(op.positions_, op.width_).data;
    ops::read_block(m, first, op.positions_, column, op.width_, lanes, rows, op.width_);
    const kernels::Strips result = scratch.strips(op.positions_, op.width_);
    table.to_strips(rows, op.width_, result, {});
    return result;
  }
  kernels::Strips transposed(const kernels::ConstStrips& m) {
    const kernels::Strips result = scratch.strips(m.cols, m.rows);
    table.transpose_strips(m, result);
    return result;
  }
  kernels::Strips product(const kernels::ConstStrips& a, const kernels::ConstStrips& b) {
    const kernels::Strips result = scratch.strips(a.rows, b.cols);
    kernels::GemmArguments g;
    g.a = a;
    g.b = b;
    g.c = result;
    table.gemm(g);
    return result;
  }
  /// The sample's rows of `to` from `column` on become a b, or have it added.
  void give_product(const kernels::ConstStrips& a, const kernels::ConstStrips& b, bool add,
                    const kernels::Strips& to, std::size_t column) {
    const std::size_t lanes = table.lanes, first = n * op.positions_;
    if (op.whole_strips()) {
      const kernels::Strips rows = ops::rows_of(to, first, op.positions_, lanes);
      const kernels::Strips target = ops::columns_of(rows, column / lanes, op.width_);
      if (add) return ops::copy(table, product(a, b), true, target);
      return ops::product(table, a, b, target, nullptr, scratch);
    }
    const kernels::Strips own = product(a, b);
    float* rows = scratch.strips(op.positions_, op.width_).data;
    table.from_strips(own, rows, op.width_);
    ops::write_block(rows, op.width_, add, to, first, op.positions_, column, op.width_, lanes);
  }
  /// 1 for the keys whose token is not the padding, 0 for the others.
  const float* allowed(const float* tokens) {
    float* result = scratch.strips(1, op.positions_).data;
    for (std::size_t s = 0; s < (op.positions_ + table.lanes - 1) / table.lanes * table.lanes; ++s)
      result[s] = s < op.positions_ && tokens[s * table.lanes] != op.padding_ ? 1.f : 0.f;
    return result;
  }

  const AttentionOp& op;
  const kernels::KernelTable& table;
  OpScratch& scratch;
  std::size_t n;
  kernels::ConstStrips q, k, v;  // [positions, width]
  kernels::Strips p;             // [positions, positions]
};

void AttentionOp::forward(const OpForward& f) const {
  for (std::size_t n = 0; n < f.samples; ++n)
    for (std::size_t h = 0; h < heads_; ++h) {
      f.scratch->reset();
      Head head(*this, f.inputs, n, h, *f.scratch);
      head.give_product(head.p, head.v, false, f.output, h * width_);
    }
}

/// With D the output's sensitivities: V' = P^T D, S' = P (D V^T - rowsum(P D V^T)) / sqrt(width), Q' = S' K,
/// K' = S'^T Q.
void AttentionOp::backward_head(const OpBackward& b, std::size_t n, std::size_t h,
                                std::span<const bool> add) const {
  b.scratch->reset();
  Head head(*this, b.inputs, n, h, *b.scratch);
  const kernels::ConstStrips delta = head.part_of(b.delta, h * width_);
  const auto give = [&](std::size_t part, const kernels::ConstStrips& left,
                        const kernels::ConstStrips& right) {
    const std::size_t j = input_of(part);
    head.give_product(left, right, add[j], b.below[j], column_of(part, h));
  };
  if (b.below[input_of(2)].data) give(2, head.transposed(head.p), delta);
  const kernels::Strips s = head.product(delta, head.transposed(head.v));
  kernels().softmax_backward(head.p, scale(), s);
  if (b.below[input_of(0)].data) give(0, s, head.k);
  if (b.below[input_of(1)].data) give(1, head.transposed(s), head.q);
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
