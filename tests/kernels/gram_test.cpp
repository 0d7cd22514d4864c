#include <cmath>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::relative_bound;
using fisherdiag::testing::StripMatrix;

namespace {

struct Shape {
  std::size_t n, t, o, i;
};

const std::vector<Shape> kShapes{{1, 1, 1, 1},    {3, 1, 17, 33},  {5, 2, 3, 5},    {7, 3, 31, 50},
                                 {2, 4, 48, 97},  {9, 16, 11, 17}, {2, 49, 19, 20}, {3, 47, 16, 16},
                                 {1, 196, 9, 35}, {40, 5, 10, 33}, {2, 300, 5, 3},  {600, 1, 4, 18}};

constexpr double kBefore = 0.5;

OuterRange whole(const Shape& s, const KernelTable& k) {
  return {0, s.o, 0, (s.i + k.lanes - 1) / k.lanes};
}

template <class Check>
void for_every_shape(const Check& check) {
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    for (Shape s : kShapes) {
      CAPTURE(isa_name(isa), s.n, s.t, s.o, s.i);
      StripMatrix left(s.n * s.t, s.o, k), right(s.n * s.t, s.i, k);
      left.fill_random(1);
      right.fill_random(2);
      check(k, s, left, right);
    }
  }
}

}  // namespace

TEST_CASE("gram_squared adds weighted squares of sums over positions and touches nothing else", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    const std::size_t stride = s.i + 3;
    std::vector<double> fisher(s.o * stride, kBefore);
    std::vector<float> weights;
    for (std::size_t n = 0; n < s.n; ++n) weights.push_back(0.25f * static_cast<float>(n % 5));
    k.gram_squared({left.view(), right.view(), s.t, weights.data(), whole(s, k), fisher.data(), stride});
    for (std::size_t o = 0; o < s.o; ++o) {
      for (std::size_t i = 0; i < s.i; ++i) {
        double expected = 0, bound = 0;
        for (std::size_t n = 0; n < s.n; ++n) {
          double sum = 0, size = 0;
          for (std::size_t t = n * s.t; t < (n + 1) * s.t; ++t) {
            const double term = static_cast<double>(left(t, o)) * static_cast<double>(right(t, i));
            sum += term;
            size += std::abs(term);
          }
          // One or two roundings for each term of the sum; squaring doubles its error.
          const double error = relative_bound(2 * s.t) * size;
          expected += static_cast<double>(weights[n]) * sum * sum;
          bound += static_cast<double>(weights[n]) * error * (2 * std::abs(sum) + error);
        }
        // The chain of squares: two products and one sum each.
        bound += relative_bound(s.n + 3) * expected;
        REQUIRE(std::abs(fisher[o * stride + i] - kBefore - expected) <= bound + 1e-15);
      }
      for (std::size_t i = s.i; i < stride; ++i) REQUIRE(fisher[o * stride + i] == kBefore);
    }
  });
}

TEST_CASE("gram_squared without weights counts every sample once", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    std::vector<double> plain(s.o * s.i), weighted(s.o * s.i);
    const std::vector<float> ones(s.n, 1.f);
    k.gram_squared({left.view(), right.view(), s.t, nullptr, whole(s, k), plain.data(), s.i});
    k.gram_squared({left.view(), right.view(), s.t, ones.data(), whole(s, k), weighted.data(), s.i});
    REQUIRE(plain == weighted);
  });
}

TEST_CASE("gram_squared gives the same bits however its range is split", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    std::vector<double> one(s.o * s.i), many(s.o * s.i);
    k.gram_squared({left.view(), right.view(), s.t, nullptr, whole(s, k), one.data(), s.i});
    for (std::size_t o = 0; o < s.o; o += 16)
      for (std::size_t strip = 0; strip < whole(s, k).strip_end; ++strip)
        k.gram_squared({left.view(),
                        right.view(),
                        s.t,
                        nullptr,
                        {o, std::min(o + 16, s.o), strip, strip + 1},
                        many.data(),
                        s.i});
    REQUIRE(one == many);
  });
}

TEST_CASE("gram_squared's traces are the sums of each sample's squares, and change no sum", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    std::vector<double> plain(s.o * s.i), traced(s.o * s.i), traces(s.n, kBefore);
    k.gram_squared({left.view(), right.view(), s.t, nullptr, whole(s, k), plain.data(), s.i, nullptr});
    k.gram_squared({left.view(), right.view(), s.t, nullptr, whole(s, k), traced.data(), s.i, traces.data()});
    REQUIRE(traced == plain);
    for (std::size_t n = 0; n < s.n; ++n) {
      std::vector<double> own(s.o * s.i);
      k.gram_squared({left.rows(n * s.t, s.t), right.rows(n * s.t, s.t), s.t, nullptr, whole(s, k),
                      own.data(), s.i, nullptr});
      double expected = 0;
      for (const double square : own) expected += square;
      // The same squares, each rounded once, in a chain of at most 256.
      REQUIRE(std::abs(traces[n] - kBefore - expected) <= relative_bound(258) * expected + 1e-15);
    }
  });
}

TEST_CASE("gram_squares adds the squares of what samples add over their seeds", "[kernels]") {
  for_every_shape([](const KernelTable& k, Shape s, StripMatrix& left, StripMatrix& right) {
    StripMatrix left2(s.n * s.t, s.o, k), right2(s.n * s.t, s.i, k);
    left2.fill_random(3);
    right2.fill_random(4);
    const ConstStrips lefts[] = {left.view(), left2.view()}, rights[] = {right.view(), right2.view()};
    for (const std::size_t seeds : {1, 2}) {
      const std::size_t stride = s.i + 3;
      std::vector<double> squares(s.o * stride, kBefore), split(s.o * stride, kBefore);
      k.gram_squares({lefts, rights, seeds, s.t, whole(s, k), squares.data(), stride});
      for (std::size_t o = 0; o < s.o; o += 16)
        for (std::size_t strip = 0; strip < whole(s, k).strip_end; ++strip)
          k.gram_squares({lefts,
                          rights,
                          seeds,
                          s.t,
                          {o, std::min(o + 16, s.o), strip, strip + 1},
                          split.data(),
                          stride});
      REQUIRE(split == squares);
      constexpr double kScale2 = 0x1p40;
      for (std::size_t o = 0; o < s.o; ++o)
        for (std::size_t i = 0; i < stride; ++i) {
          double expected = 0, bound = 0;
          for (std::size_t n = 0; n < s.n && i < s.i; ++n) {
            double added = 0, error = 0;
            for (std::size_t seed = 0; seed < seeds; ++seed) {
              double sum = 0, size = 0;
              for (std::size_t t = n * s.t; t < (n + 1) * s.t; ++t) {
                const double term = static_cast<double>(seed ? left2(t, o) : left(t, o)) *
                                    static_cast<double>(seed ? right2(t, i) : right(t, i));
                sum += term;
                size += std::abs(term);
              }
              // One or two roundings for each term, one or two for each seed; squaring doubles errors.
              const double own = relative_bound(2 * s.t) * size;
              added += sum * sum;
              error += own * (2 * std::abs(sum) + own);
            }
            error += relative_bound(4) * (added + error);
            expected += kScale2 * added * added;
            bound += kScale2 * error * (2 * added + error);
          }
          bound += relative_bound(s.n + 4) * (expected + bound);
          REQUIRE(std::abs(squares[o * stride + i] - kBefore - expected) <= bound + 1e-4);
        }
    }
  });
}
