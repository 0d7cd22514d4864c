#include <cstring>

#include "fisherdiag/nn/skip_buffer.hpp"
#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::StripMatrix;

namespace {

/// Room for the lists, filled with what nobody may read.
struct Scratch {
  Scratch() : entries(kSkipRows * kSkipDepth), counts(kSkipRows * kSkipPieces) {
    for (NonZero& entry : entries) entry = {std::nanf(""), ~0u};
    for (std::uint32_t& count : counts) count = ~0u;
  }
  SkipScratch view() { return {entries.data(), counts.data()}; }
  std::vector<NonZero> entries;
  std::vector<std::uint32_t> counts;
};

/// Random values of which `share` are not zero; some of the zeros are negative.
void fill_sparse(StripMatrix& m, double share, std::uint64_t seed) {
  RandomStream random(seed, random_stream::kTest, 0);
  for (std::size_t r = 0; r < m.rows_; ++r)
    for (std::size_t c = 0; c < m.cols_; ++c) {
      const auto value = static_cast<float>(2 * random.next_uniform() - 1);
      m(r, c) = random.next_uniform() < share ? value : (value < 0 ? -0.f : 0.f);
    }
}

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

/// Everything multiplied, many zeros, nothing but zeros.
const std::vector<double> kShares{1.0, 0.5, 0.2, 0.0};

}  // namespace

TEST_CASE("gemm_skip has the bits of gemm, forward and backward", "[kernels]") {
  struct Shape {
    std::size_t m, k, j;  // around the row blocks (256), depth sections (512), pieces and least strips (16)
  };
  for (Isa isa : available_isas()) {
    const KernelTable& table = kernel_table(isa);
    const std::size_t wide = 16 * table.lanes;
    for (Shape s : {Shape{1, 1, wide},
                    {9, 33, wide + 3},
                    {24, 160, 17 * table.lanes},
                    {40, 513, wide - 1},
                    {257, 81, wide},
                    {8, 1030, wide + 1},
                    {16, 7, 2 * wide}})
      for (double share : kShares)
        for (bool backward : {false, true}) {
          CAPTURE(isa_name(isa), s.m, s.k, s.j, share, backward);
          const std::size_t samples = (s.m + kRowTile - 1) / kRowTile * kRowTile;
          StripMatrix a(s.m, s.k, table), b(s.k, s.j, table), factor(samples, s.j, table);
          fill_sparse(a, share, 1);
          b.fill_random(2);
          factor.fill_random(3);
          AlignedBuffer<float> bias((s.j + table.lanes - 1) / table.lanes * table.lanes);
          for (std::size_t j = 0; j < s.j; ++j) bias[j] = 0.1f * static_cast<float>(j % 7) - 0.3f;
          StripMatrix dense(samples, s.j, table), dense2(samples, s.j, table), skip(samples, s.j, table),
              skip2(samples, s.j, table);
          const auto run = [&](StripMatrix& c, StripMatrix& c2, bool skipping) {
            GemmArguments g;
            g.a = a.view();
            g.b = b.view();
            g.c = c.rows(0, s.m);
            g.nonlinearity = Nonlinearity::Relu;
            if (backward)
              g.factor = factor.view();
            else
              g.bias = bias.data();
            g.squared = c2.rows(0, backward ? samples : s.m);
            Scratch scratch;
            if (skipping)
              table.gemm_skip(g, scratch.view());
            else
              table.gemm(g);
          };
          run(dense, dense2, false);
          run(skip, skip2, true);
          for (std::size_t r = 0; r < s.m; ++r)
            for (std::size_t j = 0; j < s.j; ++j) {
              REQUIRE(same_bits(skip(r, j), dense(r, j)));
              REQUIRE(same_bits(skip2(r, j), dense2(r, j)));
            }
        }
  }
}

TEST_CASE("the outer products that skip zeros have the bits of those that do not", "[kernels]") {
  struct Shape {
    std::size_t n, o, i;
  };
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    const std::size_t wide = 16 * k.lanes;
    for (Shape s : {Shape{1, 1, wide},
                    {33, 11, wide + 5},
                    {512, 17, 17 * k.lanes},
                    {161, 300, wide},
                    {100, 24, wide - 1},
                    {81, 256, 2 * wide + 1}})
      for (double share : kShares) {
        CAPTURE(isa_name(isa), s.n, s.o, s.i, share);
        StripMatrix left(s.n, s.o, k), right(s.n, s.i, k);
        fill_sparse(left, share, 1);
        right.fill_random(2);
        const std::size_t strips = (s.i + k.lanes - 1) / k.lanes, stride = strips * k.lanes;
        const OuterRange range{0, s.o, 0, strips};
        Scratch scratch;

        std::vector<double> fisher(s.o * s.i, 0.5), fisher_skip(fisher);
        k.squared_outer(left.view(), right.view(), range, fisher.data(), s.i);
        k.squared_outer_skip(left.view(), right.view(), range, fisher_skip.data(), s.i, scratch.view());
        REQUIRE(fisher == fisher_skip);

        std::vector<float> gradient(s.o * s.i), gradient_skip(s.o * s.i, 7.f);
        k.outer(left.view(), right.view(), range, 0.25f, gradient.data(), s.i, {});
        k.outer_skip(left.view(), right.view(), range, 0.25f, gradient_skip.data(), s.i, scratch.view(), {});
        REQUIRE(gradient == gradient_skip);

        AlignedBuffer<float> sums(s.o * stride), sums_skip(s.o * stride);
        for (bool first : {true, false}) {
          k.add_outer(left.view(), right.view(), first, sums.data(), stride);
          k.add_outer_skip(left.view(), right.view(), first, sums_skip.data(), stride, scratch.view());
        }
        for (std::size_t o = 0; o < s.o; ++o)
          for (std::size_t i = 0; i < s.i; ++i) REQUIRE(sums[o * stride + i] == sums_skip[o * stride + i]);
      }
  }
}

TEST_CASE("zeros that meet an infinity are left out", "[kernels]") {
  // What tells the kernels that skip from those that multiply: 0 * inf.
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    const std::size_t wide = 16 * k.lanes;
    StripMatrix left(8, k.lanes, k), right(8, wide, k);
    fill_sparse(left, 0.0, 1);
    right.fill_random(2);
    for (std::size_t i = 0; i < wide; ++i) right(3, i) = std::numeric_limits<float>::infinity();
    std::vector<double> fisher(k.lanes * wide, 0.0);
    Scratch scratch;
    k.squared_outer_skip(left.view(), right.view(), {0, k.lanes, 0, 16}, fisher.data(), wide, scratch.view());
    CHECK(std::ranges::all_of(fisher, [](double f) { return f == 0; }));
    k.squared_outer_skip(left.view(), right.view(), {0, k.lanes, 0, 16}, fisher.data(), wide, {});
    CHECK(std::isnan(fisher[0]));
  }
}
