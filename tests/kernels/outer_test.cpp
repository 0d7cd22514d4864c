#include <algorithm>
#include <cmath>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::relative_bound;
using fisherdiag::testing::StripMatrix;

namespace {

struct Shape {
  std::size_t n, o, i;
};

const std::vector<Shape> kShapes{{1, 1, 1},     {2, 3, 5},      {7, 10, 16},  {33, 11, 17}, {100, 16, 49},
                                 {512, 17, 47}, {128, 32, 100}, {40, 31, 97}, {5, 15, 33}};

OuterRange whole(const Shape& s, const KernelTable& k) {
  return {0, s.o, 0, (s.i + k.lanes - 1) / k.lanes};
}

/// sum_n left(n, o) right(n, i) and the sum of the terms' sizes.
std::pair<double, double> sum_of(StripMatrix& left, StripMatrix& right, std::size_t o, std::size_t i) {
  double sum = 0, size = 0;
  for (std::size_t n = 0; n < left.rows_; ++n) {
    const double term = static_cast<double>(left(n, o)) * static_cast<double>(right(n, i));
    sum += term;
    size += std::abs(term);
  }
  return {sum, size};
}

constexpr double kUntouched = 1234.5;

template <class Check>
void for_every_shape(const Check& check) {
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    for (Shape s : kShapes) {
      CAPTURE(isa_name(isa), s.n, s.o, s.i);
      StripMatrix left(s.n, s.o, k), right(s.n, s.i, k);
      left.fill_random(1);
      right.fill_random(2);
      check(k, s, left, right);
    }
  }
}

}  // namespace

TEST_CASE("squared_outer adds the products to doubles and touches nothing else", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    const std::size_t stride = s.i + 3;
    std::vector<double> fisher(s.o * stride, kUntouched);
    k.squared_outer(left.view(), right.view(), whole(s, k), fisher.data(), stride);
    for (std::size_t o = 0; o < s.o; ++o) {
      for (std::size_t i = 0; i < s.i; ++i) {
        const auto [sum, size] = sum_of(left, right, o, i);
        // n multiply-adds of one or two roundings each, then one double addition.
        REQUIRE(std::abs(fisher[o * stride + i] - kUntouched - sum) <=
                relative_bound(2 * s.n) * size + 1e-12);
      }
      for (std::size_t i = s.i; i < stride; ++i) REQUIRE(fisher[o * stride + i] == kUntouched);
    }
  });
}

TEST_CASE("outer stores the scaled sum", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    std::vector<float> target(s.o * s.i, std::nanf(""));
    k.outer(left.view(), right.view(), whole(s, k), 0.5f, target.data(), s.i, {});
    for (std::size_t o = 0; o < s.o; ++o)
      for (std::size_t i = 0; i < s.i; ++i) {
        const auto [sum, size] = sum_of(left, right, o, i);
        REQUIRE(std::abs(target[o * s.i + i] - 0.5 * sum) <=
                0.5 * relative_bound(2 * s.n + 1) * size + 1e-37);
      }
  });
}

TEST_CASE("outer leaves what lies alongside as it is, and its own bits too", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    std::vector<float> alone(s.o * s.i), target(s.o * s.i), other(s.o * (s.i + 5), 3.f), another(other);
    k.outer(left.view(), right.view(), whole(s, k), 0.5f, alone.data(), s.i, {});
    Alongside alongside{{other.data(), another.data()}, 2, s.i + 5};
    k.outer(left.view(), right.view(), whole(s, k), 0.5f, target.data(), s.i, alongside);
    REQUIRE(target == alone);
    REQUIRE(std::ranges::all_of(other, [](float x) { return x == 3.f; }));
    REQUIRE(other == another);
  });
}

TEST_CASE("squared_outer gives the same bits however its range is split", "[kernels]") {
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    const Shape s{300, 70, 150};
    StripMatrix left(s.n, s.o, k), right(s.n, s.i, k);
    left.fill_random(1);
    right.fill_random(2);
    std::vector<double> one(s.o * s.i), many(s.o * s.i);
    k.squared_outer(left.view(), right.view(), whole(s, k), one.data(), s.i);
    const std::size_t strips = (s.i + k.lanes - 1) / k.lanes;
    for (std::size_t o = 0; o < s.o; o += 16)
      for (std::size_t strip = 0; strip < strips; strip += 2)
        k.squared_outer(left.view(), right.view(),
                        {o, std::min(o + 16, s.o), strip, std::min(strip + 2, strips)}, many.data(), s.i);
    REQUIRE(one == many);
  }
}

TEST_CASE("add_outer in pieces gives the bits of one chain", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    const std::size_t stride = (s.i + k.lanes - 1) / k.lanes * k.lanes;
    AlignedBuffer<float> target(s.o * stride);
    target[0] = 5.f;  // a first piece does not look at what was there
    for (std::size_t row = 0; row < s.n; row += 24)
      k.add_outer(left.rows(row, std::min<std::size_t>(24, s.n - row)),
                  right.rows(row, std::min<std::size_t>(24, s.n - row)), row == 0, target.data(), stride);
    std::vector<double> whole_chain(s.o * s.i);
    k.squared_outer(left.view(), right.view(), whole(s, k), whole_chain.data(), s.i);
    for (std::size_t o = 0; o < s.o; ++o)
      for (std::size_t i = 0; i < s.i; ++i)
        REQUIRE(static_cast<double>(target[o * stride + i]) == whole_chain[o * s.i + i]);
  });
}

TEST_CASE("levels with multiply-add agree bit for bit in squared_outer", "[kernels]") {
  std::vector<std::vector<double>> results;
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    if (!k.fused_multiply_add) continue;
    const Shape s{200, 20, 50};
    StripMatrix left(s.n, s.o, k), right(s.n, s.i, k);
    left.fill_random(1);
    right.fill_random(2);
    results.emplace_back(s.o * s.i);
    k.squared_outer(left.view(), right.view(), whole(s, k), results.back().data(), s.i);
  }
  for (const std::vector<double>& result : results) REQUIRE(result == results.front());
}
