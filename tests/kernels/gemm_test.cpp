#include <cmath>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::relative_bound;
using fisherdiag::testing::StripMatrix;

namespace {

struct Shape {
  std::size_t m, k, j;
};

/// Around the register tile (8 rows, 1-3 strips) and the depth blocks (224 and 1344) of every level.
const std::vector<Shape> kShapes{{1, 1, 1},     {3, 5, 2},     {8, 16, 16}, {9, 17, 33}, {7, 15, 49},
                                 {24, 64, 48},  {13, 100, 10}, {5, 223, 7}, {6, 224, 8}, {4, 225, 20},
                                 {10, 2500, 3}, {11, 1344, 5}, {3, 1345, 9}};

double apply(Nonlinearity f, double z) {
  switch (f) {
    case Nonlinearity::Identity:
      return z;
    case Nonlinearity::Relu:
      return std::max(z, 0.0);
    case Nonlinearity::Tanh:
      return std::tanh(z);
    case Nonlinearity::Sigmoid:
      return 1 / (1 + std::exp(-z));
  }
  return z;
}

double derivative(Nonlinearity f, double output) {
  switch (f) {
    case Nonlinearity::Identity:
      return 1;
    case Nonlinearity::Relu:
      return output > 0 ? 1 : 0;
    case Nonlinearity::Tanh:
      return 1 - output * output;
    case Nonlinearity::Sigmoid:
      return output * (1 - output);
  }
  return 1;
}

/// sum_k a b and sum_k |a b|.
std::pair<double, double> dot(StripMatrix& a, StripMatrix& b, std::size_t r, std::size_t j) {
  double sum = 0, size = 0;
  for (std::size_t k = 0; k < a.cols_; ++k) {
    const double term = static_cast<double>(a(r, k)) * static_cast<double>(b(k, j));
    sum += term;
    size += std::abs(term);
  }
  return {sum, size};
}

const std::vector<Nonlinearity> kAll{Nonlinearity::Identity, Nonlinearity::Relu, Nonlinearity::Tanh,
                                     Nonlinearity::Sigmoid};

}  // namespace

TEST_CASE("gemm forward: product, bias, nonlinearity and square", "[kernels]") {
  for (Isa isa : available_isas()) {
    const KernelTable& table = kernel_table(isa);
    for (Shape s : kShapes)
      for (Nonlinearity f : kAll) {
        CAPTURE(isa_name(isa), s.m, s.k, s.j, static_cast<int>(f));
        StripMatrix a(s.m, s.k, table), b(s.k, s.j, table), c(s.m, s.j, table), c2(s.m, s.j, table);
        a.fill_random(1);
        b.fill_random(2);
        AlignedBuffer<float> bias((s.j + table.lanes - 1) / table.lanes * table.lanes);
        for (std::size_t j = 0; j < s.j; ++j) bias[j] = 0.1f * static_cast<float>(j % 7) - 0.3f;
        GemmArguments g;
        g.a = a.view();
        g.b = b.view();
        g.c = c.view();
        g.bias = bias.data();
        g.nonlinearity = f;
        g.squared = c2.view();
        table.gemm(g);
        for (std::size_t r = 0; r < s.m; ++r)
          for (std::size_t j = 0; j < s.j; ++j) {
            const auto [sum, size] = dot(a, b, r, j);
            const double expected = apply(f, sum + static_cast<double>(bias[j]));
            // Chain of k multiply-adds (two roundings each on the baseline) plus partial sums and bias;
            // slopes are at most 1; the vector tanh and exp are good to a few units in the last place of
            // values of size <= 1.
            const double tolerance = relative_bound(2 * s.k + 8) * (size + 1) + 8 * 0x1p-24;
            REQUIRE(std::abs(c(r, j) - expected) <= tolerance);
            REQUIRE(c2(r, j) == c(r, j) * c(r, j));
          }
      }
  }
}

TEST_CASE("gemm backward: derivative and squares summed over groups", "[kernels]") {
  constexpr std::size_t kRows = 16, kGroups = 3;
  for (Isa isa : available_isas()) {
    const KernelTable& table = kernel_table(isa);
    for (std::size_t k : {1u, 10u, 33u, 1030u})
      for (std::size_t j : {1u, 16u, 37u})
        for (Nonlinearity f : kAll) {
          CAPTURE(isa_name(isa), k, j, static_cast<int>(f));
          StripMatrix a(kRows * kGroups, k, table), b(k, j, table), c(kRows * kGroups, j, table);
          StripMatrix factor(kRows, j, table), squared(kRows, j, table);
          a.fill_random(1);
          b.fill_random(2);
          factor.fill_random(3);
          squared.fill_random(4);
          GemmArguments g;
          g.a = a.view();
          g.b = b.view();
          g.c = c.view();
          g.nonlinearity = f;
          g.factor = factor.view();
          g.squared = squared.view();
          table.gemm(g);
          for (std::size_t n = 0; n < kRows; ++n)
            for (std::size_t o = 0; o < j; ++o) {
              double squares = 0;
              for (std::size_t group = 0; group < kGroups; ++group) {
                const auto [sum, size] = dot(a, b, group * kRows + n, o);
                const double expected = sum * derivative(f, factor(n, o));
                REQUIRE(std::abs(c(group * kRows + n, o) - expected) <=
                        relative_bound(2 * k + 12) * (size + 1));
                squares += static_cast<double>(c(group * kRows + n, o)) *
                           static_cast<double>(c(group * kRows + n, o));
              }
              // Three products added: at most 6 roundings of non-negative terms.
              REQUIRE(std::abs(squared(n, o) - squares) <= relative_bound(6) * squares + 1e-37);
            }
          const float before = squared(0, 0);
          g.squared_overwrite = false;
          table.gemm(g);
          REQUIRE(std::abs(squared(0, 0) - 2 * before) <= relative_bound(12) * 2 * before);
        }
  }
}

TEST_CASE("gemm gives the same bits however rows and strips are split", "[kernels]") {
  for (Isa isa : available_isas()) {
    const KernelTable& table = kernel_table(isa);
    StripMatrix a(40, 1100, table), b(1100, 100, table), whole(40, 100, table), parts(40, 100, table);
    a.fill_random(1);
    b.fill_random(2);
    GemmArguments g;
    g.a = a.view();
    g.b = b.view();
    g.c = whole.view();
    table.gemm(g);
    const std::size_t strips = (100 + table.lanes - 1) / table.lanes;
    for (std::size_t row = 0; row < 40; row += 8)
      for (std::size_t strip = 0; strip < strips; strip += 2) {
        g.a = a.rows(row, 8);
        g.c = parts.rows(row, 8);
        g.first_strip = strip;
        g.last_strip = std::min(strip + 2, strips);
        table.gemm(g);
      }
    for (std::size_t r = 0; r < 40; ++r)
      for (std::size_t c = 0; c < 100; ++c) REQUIRE(whole(r, c) == parts(r, c));
  }
}
