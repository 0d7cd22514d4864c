#include "fisherdiag/kernels/softmax.hpp"

#include <algorithm>
#include <cmath>

#include "fisherdiag/base/isa.hpp"
#include "kernels/margin_array.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::test;

namespace {

struct Shape {
  std::size_t rows;
  std::size_t cols;
  std::size_t stride;
};

// Fills the gaps between rows with NaN, which must not be read into a result.
void poison_gaps(MarginArray& a, const Shape& shape) {
  for (std::size_t r = 0; r + 1 < shape.rows; ++r)
    for (std::size_t c = shape.cols; c < shape.stride; ++c)
      a[r * shape.stride + c] = std::numeric_limits<float>::quiet_NaN();
}

std::size_t extent(const Shape& shape) {
  return shape.rows ? (shape.rows - 1) * shape.stride + shape.cols : 0;
}

// Below this (exp(-87.3), with the rounding of the argument) probabilities may be 0.
constexpr double kUnderflow = 1.23e-38;

void check_row(const float* z, const float* p, std::size_t cols, float log_normalizer) {
  double max = -std::numeric_limits<double>::infinity(), sum = 0;
  for (std::size_t c = 0; c < cols; ++c) max = std::max(max, static_cast<double>(z[c]));
  for (std::size_t c = 0; c < cols; ++c) sum += std::exp(static_cast<double>(z[c]) - max);
  double worst = 0;
  for (std::size_t c = 0; c < cols; ++c) {
    const double expected = std::exp(static_cast<double>(z[c]) - max) / sum;
    // The contract's 2e-6; where the true value underflows, anything from 0 to the bound.
    const double tolerance = expected >= kUnderflow ? 2e-6 * expected : kUnderflow;
    const double ratio = std::abs(static_cast<double>(p[c]) - expected) / tolerance;
    worst = std::isnan(ratio) ? 1e9 : std::max(worst, ratio);
  }
  REQUIRE(worst <= 1.0);
  const double expected = max + std::log(sum);
  // The sum's 2e-6 is absolute in the logarithm; the logarithm and the sum with max round once or twice each.
  REQUIRE(std::abs(static_cast<double>(log_normalizer) - expected) <= 2e-6 + 3 * kU * std::abs(expected));
}

void check(const kernels::KernelTable& kernel, const Shape& shape, std::size_t offset, float range,
           bool in_place) {
  MarginArray z(extent(shape), offset), p(extent(shape), offset + 1), log_normalizers(shape.rows, offset);
  z.fill(7, -range, range);
  poison_gaps(z, shape);
  const MarginArray before = z;
  MarginArray& target = in_place ? z : p;
  kernel.softmax_rows(z.data(), shape.stride, target.data(), shape.stride, shape.rows, shape.cols,
                      log_normalizers.data());
  for (std::size_t r = 0; r < shape.rows; ++r)
    check_row(before.data() + r * shape.stride, target.data() + r * shape.stride, shape.cols,
              log_normalizers[r]);
  for (std::size_t r = 0; r + 1 < shape.rows; ++r)
    for (std::size_t c = shape.cols; c < shape.stride; ++c) {
      const float gap = target[r * shape.stride + c];
      REQUIRE((in_place ? std::isnan(gap) : gap == 0.0f));
    }
  REQUIRE(z.margins_untouched());
  REQUIRE(p.margins_untouched());
  REQUIRE(log_normalizers.margins_untouched());
}

}  // namespace

TEST_CASE("softmax_rows equals the definition in double") {
  for (const Isa isa : available_isas()) {
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    const std::size_t lanes = kernel.lanes;
    for (const std::size_t cols :
         {std::size_t{1}, std::size_t{2}, lanes - 1, lanes, lanes + 1, std::size_t{10}, 2 * lanes,
          4 * lanes + 3, std::size_t{1000}, std::size_t{5000}})
      for (const std::size_t rows : {std::size_t{0}, std::size_t{1}, lanes + 1})
        for (const float range : {1.0f, 60.0f})
          for (const bool in_place : {false, true})
            for (const std::size_t gap : {0, 3}) {
              CAPTURE(isa_name(isa), cols, rows, range, in_place, gap);
              check(kernel, {rows, cols, cols + gap}, gap, range, in_place);
            }
  }
}

TEST_CASE("softmax_rows serves every misalignment") {
  for (const Isa isa : available_isas())
    for (const std::size_t offset : kOffsets)
      for (const std::size_t cols : {10, 100}) {
        CAPTURE(isa_name(isa), offset, cols);
        check(kernels::kernel_table(isa), {5, cols, cols}, offset, 5.0f, false);
      }
}

TEST_CASE("softmax_rows without log normalizers writes the same probabilities") {
  for (const Isa isa : available_isas()) {
    CAPTURE(isa_name(isa));
    MarginArray z(70, 0), with(70, 0), without(70, 0), log_normalizers(7, 0);
    z.fill(3, -4, 4);
    const kernels::KernelTable& kernel = kernels::kernel_table(isa);
    kernel.softmax_rows(z.data(), 10, with.data(), 10, 7, 10, log_normalizers.data());
    kernel.softmax_rows(z.data(), 10, without.data(), 10, 7, 10, nullptr);
    REQUIRE(std::equal(with.values().begin(), with.values().end(), without.data()));
  }
}

TEST_CASE("softmax_rows stays accurate over very many classes") {
  constexpr std::size_t kClasses = 200000;
  for (const Isa isa : available_isas()) {
    CAPTURE(isa_name(isa));
    MarginArray z(kClasses, 0), p(kClasses, 0), log_normalizer(1, 0);
    // Equal terms that are no power of 2 round the same way again and again: a plain float sum is 1e-4 off.
    std::fill(z.values().begin(), z.values().end(), -0.3f);
    z[0] = 0;
    kernels::kernel_table(isa).softmax_rows(z.data(), kClasses, p.data(), kClasses, 1, kClasses,
                                            log_normalizer.data());
    check_row(z.data(), p.data(), kClasses, log_normalizer[0]);
  }
}

TEST_CASE("softmax_rows survives extreme logits") {
  const float huge = std::numeric_limits<float>::max();
  const float inf = std::numeric_limits<float>::infinity();
  for (const Isa isa : available_isas())
    for (const std::size_t cols : {std::size_t{3}, std::size_t{40}}) {
      CAPTURE(isa_name(isa), cols);
      const kernels::KernelTable& kernel = kernels::kernel_table(isa);
      for (const float low : {-huge, -1000.0f, -inf}) {
        MarginArray z(cols, 1), p(cols, 2);
        std::fill(z.values().begin(), z.values().end(), low);
        z[cols - 1] = low == -1000.0f ? 1000.0f : huge;
        kernel.softmax_rows(z.data(), cols, p.data(), cols, 1, cols, nullptr);
        for (std::size_t c = 0; c < cols; ++c) REQUIRE(p[c] == (c == cols - 1 ? 1.0f : 0.0f));
      }
      MarginArray z(cols, 0), p(cols, 0);
      z.fill(5, -1, 1);
      z[cols - 1] = std::numeric_limits<float>::quiet_NaN();
      kernel.softmax_rows(z.data(), cols, p.data(), cols, 1, cols, nullptr);
      for (std::size_t c = 0; c < cols; ++c) REQUIRE(std::isnan(p[c]));
    }
}
