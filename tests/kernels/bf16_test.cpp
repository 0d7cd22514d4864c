// Kernels with bfloat16 operands against naive double sums over the same operands. A machine without the
// units has nothing to check here but that it says so.
#include "fisherdiag/kernels/bf16.hpp"

#include <limits>

#include "kernels/bf16_matrix.hpp"
#include "kernels/margin_array.hpp"
#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using namespace fisherdiag::testing;
using fisherdiag::test::MarginArray;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Shape {
  std::size_t n, i, o;  // samples, inputs, outputs
};

/// Around tiles, blocks and the depths a product is cut into (8 blocks of 32).
const std::vector<Shape> kShapes{{1, 1, 1},     {15, 17, 16},  {32, 32, 32},   {33, 31, 65},
                                 {70, 257, 33}, {64, 300, 10}, {31, 600, 290}, {530, 20, 40}};

template <class Check>
void for_every_unit(const Check& check) {
  for (Bf16Unit unit : available_bf16_units(Isa::Avx512)) {
    INFO(std::string(bf16_unit_name(unit)));
    check(bf16_kernels(unit));
  }
}

template <class Check>
void for_every_shape(const Check& check) {
  for_every_unit([&](const Bf16Kernels& k) {
    for (const Shape& s : kShapes) {
      CAPTURE(s.n, s.i, s.o);
      check(k, s);
    }
  });
}

AlignedBuffer<float> scratch() {
  return AlignedBuffer<float>(kBf16ScratchFloats);
}

/// Row-major values at an odd place between NaNs; rows are `cols + 3` apart.
MarginArray make_source(std::size_t rows, std::size_t cols, std::uint64_t seed) {
  MarginArray source(rows * (cols + 3), 1);
  source.fill(seed, -3, 3);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = cols; c < cols + 3; ++c) source[r * (cols + 3) + c] = kNan;
  return source;
}

/// Each element of the target is rounded value(v, k), its padding 0.
template <class Matrix, class Value>
void check_packed(Matrix& target, const Value& value) {
  for (std::size_t v = 0; v < target.padded_vectors(); ++v)
    for (std::size_t k = 0; k < target.padded_depth(); ++k)
      REQUIRE(target.bits(v, k) ==
              (v < target.vectors() && k < target.depth() ? round_bf16(value(v, k)) : Bf16{0}));
}

}  // namespace

TEST_CASE("levels below avx512 have no bfloat16 products", "[bf16]") {
  CHECK(available_bf16_units(Isa::Baseline).empty());
  CHECK(available_bf16_units(Isa::Avx2).empty());
}

TEST_CASE("packing rounds to nearest even and pads with zeros", "[bf16]") {
  for_every_unit([](const Bf16Kernels& k) {
    for (std::size_t rows : {1u, 16u, 33u})
      for (std::size_t cols : {1u, 15u, 17u, 32u, 70u}) {
        CAPTURE(rows, cols);
        MarginArray source = make_source(rows, cols, 5);
        const std::size_t stride = cols + 3;
        source[0] = 1.00390625f;  // 1 + 2^-8 lies between two bfloat16: a tie
        const auto at = [&](std::size_t r, std::size_t c) { return source[r * stride + c]; };
        LineMatrix lines(rows, cols), columns(cols, rows);
        PairMatrix pairs(rows, cols), squared(cols, rows);
        for (auto* m : {&lines, &columns}) m->fill(1, 8, 9, 9);
        for (auto* m : {&pairs, &squared}) m->fill(1, 8, 9, 9);
        k.lines_from_rows(source.data(), stride, lines.view());
        k.lines_from_columns(source.data(), stride, columns.view());
        k.pairs_from_rows({source.data(), stride, pairs.view(), squared.view()});
        check_packed(lines, at);
        check_packed(columns, [&](std::size_t v, std::size_t d) { return at(d, v); });
        check_packed(pairs, at);
        check_packed(squared, [&](std::size_t v, std::size_t d) { return at(d, v) * at(d, v); });
        CHECK(lines.bits(0, 0) == 0x3f80);
      }
  });
}

TEST_CASE("rounding at random goes to a neighbour, as often as the value is near it", "[bf16]") {
  for_every_unit([](const Bf16Kernels& k) {
    constexpr std::size_t kRows = 4000, kCols = 37;
    const float values[] = {1.0f + 0x1p-9f, -0.7f, 0.3f, 1.5f, 0.0f, 100.0f / 255.0f};
    std::vector<float> source(kRows * kCols);
    for (std::size_t i = 0; i < source.size(); ++i) source[i] = values[i % kCols % std::size(values)];
    std::vector<std::uint32_t> words(kRows);
    RandomStream random(1, random_stream::kTest, 0);
    for (std::uint32_t& word : words) word = random.next_u32();
    PairMatrix pairs(kRows, kCols), again(kRows, kCols);
    k.pairs_from_rows({source.data(), kCols, pairs.view(), {}, words.data()});
    k.pairs_from_rows({source.data(), kCols, again.view(), {}, words.data()});
    std::size_t differing_rows = 0;
    for (std::size_t c = 0; c < kCols; ++c) {
      const float x = source[c], below = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffff0000u),
                  unit = std::bit_cast<float>(std::bit_cast<std::uint32_t>(below) + 0x10000u) - below;
      CAPTURE(c, x);
      double sum = 0;
      for (std::size_t r = 0; r < kRows; ++r) {
        const float rounded = to_float(pairs.bits(r, c));
        const bool neighbour = rounded == below || (x != below && rounded == below + unit);
        REQUIRE(neighbour);
        REQUIRE(pairs.bits(r, c) == again.bits(r, c));
        sum += static_cast<double>(rounded);
        if (c == 1 && r) differing_rows += pairs.bits(r, c) != pairs.bits(0, c);
      }
      // Five standard errors of a mean whose terms are a unit apart, and the 2^-16 of a unit of the noise.
      const double unit_size = std::abs(static_cast<double>(unit));
      CHECK(std::abs(sum / kRows - static_cast<double>(x)) <
            unit_size * (2.5 / std::sqrt(double{kRows}) + 0x1p-16));
    }
    CHECK(differing_rows > 0);
    const float special[] = {INFINITY, -INFINITY, std::bit_cast<float>(0x7fffffffu)};
    PairMatrix kept(1, 3);
    k.pairs_from_rows({special, 3, kept.view(), {}, words.data()});
    CHECK(to_float(kept.bits(0, 0)) == INFINITY);
    CHECK(to_float(kept.bits(0, 1)) == -INFINITY);
    CHECK(std::isnan(to_float(kept.bits(0, 2))));
  });
}

TEST_CASE("forward equals naive sums, and what it stores beside agrees to the bit", "[bf16]") {
  for_every_shape([](const Bf16Kernels& k, Shape s) {
    AlignedBuffer<float> work = scratch();
    LineMatrix weight(s.o, s.i);
    PairMatrix input(s.n, s.i);
    weight.fill(1, -1, 1);
    input.fill(2, -1, 1, 7);  // finite padding meets the weight's zeros
    AlignedBuffer<float> bias(bf16_blocks(s.o) * kBf16Block);
    for (std::size_t o = 0; o < s.o; ++o) bias[o] = 0.25f * static_cast<float>(o % 5) - 0.5f;
    for (Nonlinearity f :
         {Nonlinearity::Identity, Nonlinearity::Relu, Nonlinearity::Tanh, Nonlinearity::Sigmoid}) {
      CAPTURE(static_cast<int>(f));
      PairMatrix output(s.n, s.o), slope(s.n, s.o), squared(s.o, s.n);
      std::vector<float> values(s.n * (s.o + 2), kNan);
      Bf16ForwardArguments g;
      g.weight = weight.cview();
      g.input = input.cview();
      g.bias = bias.data();
      g.nonlinearity = f;
      g.output = output.view();
      g.slope = slope.view();
      g.squared = squared.view();
      g.values = values.data();
      g.values_stride = s.o + 2;
      g.scratch = work.data();
      k.forward(g);
      for (std::size_t n = 0; n < s.n; ++n) {
        for (std::size_t o = 0; o < s.o; ++o) {
          const Product z = multiply(weight, o, input, n);
          const double sum = z.sum + bias[o];
          const double exact = f == Nonlinearity::Identity ? sum
                               : f == Nonlinearity::Relu   ? std::max(sum, 0.0)
                               : f == Nonlinearity::Tanh   ? std::tanh(sum)
                                                           : 1 / (1 + std::exp(-sum));
          const float a = values[n * (s.o + 2) + o];
          // Two roundings for each term, one for the bias; no f is steeper than 1; 4 ulp for f
          // itself.
          REQUIRE(std::abs(a - exact) <=
                  relative_bound(2 * s.i + 1) * (z.size + std::abs(bias[o])) + 4 * 0x1p-23 * std::abs(exact));
          REQUIRE(output.bits(n, o) == round_bf16(a));
          REQUIRE(squared.bits(o, n) == round_bf16(a * a));
          const float derivative = f == Nonlinearity::Relu      ? (a > 0 ? 1.0f : 0.0f)
                                   : f == Nonlinearity::Tanh    ? std::fma(-a, a, 1.0f)
                                   : f == Nonlinearity::Sigmoid ? a * (1 - a)
                                                                : 1.0f;
          REQUIRE(slope.bits(n, o) == round_bf16(derivative));
        }
        REQUIRE(std::isnan(values[n * (s.o + 2) + s.o]));
      }
    }
  });
}

TEST_CASE("forward's outputs do not depend on which of them are stored", "[bf16]") {
  for_every_unit([](const Bf16Kernels& k) {
    AlignedBuffer<float> work = scratch(), bias(64);
    LineMatrix weight(40, 300);
    PairMatrix input(33, 300), all(33, 40), squared(40, 33), alone(33, 40);
    weight.fill(1, -1, 1);
    input.fill(2, -1, 1);
    Bf16ForwardArguments g;
    g.weight = weight.cview();
    g.input = input.cview();
    g.bias = bias.data();
    g.output = all.view();
    g.squared = squared.view();
    g.scratch = work.data();
    k.forward(g);
    g.output = alone.view();
    g.squared = {};
    k.forward(g);
    for (std::size_t n = 0; n < 33; ++n)
      for (std::size_t o = 0; o < 40; ++o) REQUIRE(alone.bits(n, o) == all.bits(n, o));
  });
}

namespace {

/// A backward product's operands: G groups of samples in whole blocks.
struct BackwardProblem {
  Shape s;
  std::size_t groups, group_rows;
  LineMatrix weight;
  PairMatrix delta, factor;

  BackwardProblem(Shape shape, std::size_t g)
      : s(shape),
        groups(g),
        group_rows(bf16_blocks(s.n) * kBf16Block),
        weight(s.i, s.o),
        delta(g * group_rows, s.o),
        factor(s.n, s.i) {
    weight.fill(1, -1, 1);
    delta.fill(2, -1, 1, 5);
    factor.fill(3, -1, 1);
  }

  Bf16BackwardArguments arguments(Nonlinearity f, float* work) {
    Bf16BackwardArguments g;
    g.weight = weight.cview();
    g.delta = delta.cview();
    g.nonlinearity = f;
    if (f != Nonlinearity::Identity) g.factor = factor.cview();
    g.groups = groups;
    g.scratch = work;
    return g;
  }
  double slope(Nonlinearity f, std::size_t n, std::size_t i) {
    if (f == Nonlinearity::Identity) return 1;
    if (f == Nonlinearity::Relu) return factor(n, i) > 0 ? 1 : 0;
    return factor(n, i);
  }
};

}  // namespace

TEST_CASE("backward equals naive sums and sums squares over the groups", "[bf16]") {
  for_every_shape([](const Bf16Kernels& k, Shape s) {
    AlignedBuffer<float> work = scratch();
    for (std::size_t groups : {1u, 3u})
      for (Nonlinearity f :
           {Nonlinearity::Identity, Nonlinearity::Relu, Nonlinearity::Tanh, Nonlinearity::Sigmoid}) {
        CAPTURE(groups, static_cast<int>(f));
        BackwardProblem p(s, groups);
        PairMatrix below(groups * p.group_rows, s.i);
        LineMatrix squared(s.i, s.n);
        AlignedBuffer<float> sums(bf16_blocks(s.i) * kBf16Block * p.group_rows);
        Bf16BackwardArguments g = p.arguments(f, work.data());
        g.below = below.view();
        g.squared = squared.view();
        g.sums = sums.data();
        k.backward(g);
        for (std::size_t n = 0; n < s.n; ++n)
          for (std::size_t i = 0; i < s.i; ++i) {
            double expected = 0, slack = 0;
            for (std::size_t group = 0; group < groups; ++group) {
              const std::size_t r = group * p.group_rows + n;
              const Product sum = multiply(p.weight, i, p.delta, r);
              const double slope = p.slope(f, n, i), d = sum.sum * slope;
              // Two roundings for each term, one for the slope; then one to bfloat16, half of 2^-7 relative.
              const double error = relative_bound(2 * s.o + 1) * sum.size * std::abs(slope);
              REQUIRE(std::abs(below(r, i) - d) <= error + 0x1p-8 * (std::abs(d) + error));
              expected += d * d;
              slack += error * (2 * std::abs(d) + error);
            }
            const double rounding = relative_bound(groups + 1) + 0x1p-8;
            REQUIRE(std::abs(squared(i, n) - expected) <= slack + rounding * (expected + slack));
          }
      }
  });
}

TEST_CASE("backward in several calls has the bits of one call", "[bf16]") {
  for_every_unit([](const Bf16Kernels& k) {
    AlignedBuffer<float> work = scratch();
    const Shape s{40, 70, 20};
    BackwardProblem p(s, 3);
    LineMatrix once(s.i, s.n), parts(s.i, s.n);
    AlignedBuffer<float> sums(bf16_blocks(s.i) * kBf16Block * p.group_rows);
    Bf16BackwardArguments g = p.arguments(Nonlinearity::Tanh, work.data());
    g.squared = once.view();
    g.sums = sums.data();
    k.backward(g);
    g.squared = parts.view();
    for (std::size_t group = 0; group < 3; ++group) {
      g.delta = p.delta.buffer().vectors(group * p.group_rows, p.group_rows);
      g.groups = 1;
      g.first = group == 0;
      g.last = group == 2;
      k.backward(g);
    }
    for (std::size_t i = 0; i < s.i; ++i)
      for (std::size_t n = 0; n < s.n; ++n) REQUIRE(parts.bits(i, n) == once.bits(i, n));
  });
}

namespace {
constexpr double kBefore = 1234.5;
}

TEST_CASE("outer adds the products to doubles and touches nothing else", "[bf16]") {
  for_every_shape([](const Bf16Kernels& k, Shape s) {
    AlignedBuffer<float> work = scratch();
    LineMatrix left(s.o, s.n);
    PairMatrix right(s.i, s.n);
    left.fill(1, 0, 1);
    right.fill(2, 0, 1, 3);
    const std::size_t stride = s.i + 3;
    std::vector<double> whole(s.o * stride, kBefore), cut(s.o * stride, kBefore);
    Bf16OuterArguments g{left.cview(),     right.cview(), 0,      bf16_blocks(s.o), 0,
                         bf16_blocks(s.i), whole.data(),  stride, work.data()};
    k.outer(g);
    g.fisher = cut.data();
    for (std::size_t o = 0; o < bf16_blocks(s.o); ++o)
      for (std::size_t i = 0; i < bf16_blocks(s.i); ++i) {
        g.left_begin = o;
        g.left_end = o + 1;
        g.right_begin = i;
        g.right_end = i + 1;
        k.outer(g);
      }
    REQUIRE(cut == whole);
    for (std::size_t o = 0; o < s.o; ++o) {
      for (std::size_t i = 0; i < s.i; ++i) {
        const Product p = multiply(left, o, right, i);
        // Two roundings for each term, and a double addition to 1234.5.
        REQUIRE(std::abs(whole[o * stride + i] - kBefore - p.sum) <=
                relative_bound(2 * s.n) * p.size + 1e-12);
      }
      for (std::size_t i = s.i; i < stride; ++i) REQUIRE(whole[o * stride + i] == kBefore);
    }
  });
}

TEST_CASE("sums over depths and over vectors", "[bf16]") {
  for_every_shape([](const Bf16Kernels& k, Shape s) {
    LineMatrix lines(s.o, s.n);
    PairMatrix pairs(s.i, s.n);
    lines.fill(1, 0, 1);
    pairs.fill(2, 0, 1);
    std::vector<double> by_vector(s.o, 2.0);
    std::vector<float> by_line(s.n + 1, kNan), by_pair(s.n + 1, kNan);
    k.line_sums(lines.cview(), by_vector.data());
    k.line_depth_sums(lines.cview(), by_line.data());
    k.pair_depth_sums(pairs.cview(), by_pair.data());
    // Terms are not negative, so each sum is good to one rounding per term.
    for (std::size_t v = 0; v < s.o; ++v) {
      double sum = 0;
      for (std::size_t n = 0; n < s.n; ++n) sum += lines(v, n);
      REQUIRE(std::abs(by_vector[v] - 2.0 - sum) <= relative_bound(s.n) * sum + 1e-15);
    }
    for (std::size_t n = 0; n < s.n; ++n) {
      double line = 0, pair = 0;
      for (std::size_t v = 0; v < s.o; ++v) line += lines(v, n);
      for (std::size_t v = 0; v < s.i; ++v) pair += pairs(v, n);
      REQUIRE(std::abs(by_line[n] - line) <= relative_bound(s.o) * line);
      REQUIRE(std::abs(by_pair[n] - pair) <= relative_bound(s.i) * pair);
    }
    REQUIRE(std::isnan(by_line[s.n]));
    REQUIRE(std::isnan(by_pair[s.n]));
  });
}
