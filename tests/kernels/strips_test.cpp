#include <cmath>
#include <vector>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::StripMatrix;

namespace {

const std::vector<std::size_t> kSizes{1, 3, 4, 5, 8, 15, 16, 17, 33, 67};

std::vector<float> numbered(std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i) - 20.f;
  return values;
}

bool padding_is_zero(StripMatrix& m) {
  const Strips all = m.view();
  for (std::size_t c = m.cols_; c < (m.cols_ + m.lanes_ - 1) / m.lanes_ * m.lanes_; ++c)
    for (std::size_t r = 0; r < m.rows_; ++r)
      if (all.data[c / m.lanes_ * all.stride + r * m.lanes_ + c % m.lanes_] != 0.f) return false;
  return true;
}

}  // namespace

TEST_CASE("to_strips copies and squares from any alignment and from_strips brings it back", "[kernels]") {
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    for (std::size_t rows : kSizes)
      for (std::size_t cols : kSizes) {
        CAPTURE(isa_name(isa), rows, cols);
        const std::size_t stride = cols + 1;  // makes every row start elsewhere
        const std::vector<float> source = numbered(rows * stride + 1);
        StripMatrix plain(rows, cols, k), squared(rows, cols, k);
        k.to_strips(source.data() + 1, stride, plain.view(), squared.view());
        for (std::size_t r = 0; r < rows; ++r)
          for (std::size_t c = 0; c < cols; ++c) {
            const float value = source[1 + r * stride + c];
            REQUIRE(plain(r, c) == value);
            REQUIRE(squared(r, c) == value * value);
          }
        REQUIRE(padding_is_zero(plain));
        REQUIRE(padding_is_zero(squared));
        std::vector<float> back(rows * stride, -1.f);
        k.from_strips(plain.view(), back.data(), stride);
        for (std::size_t r = 0; r < rows; ++r) {
          for (std::size_t c = 0; c < cols; ++c) REQUIRE(back[r * stride + c] == plain(r, c));
          REQUIRE(back[r * stride + cols] == -1.f);
        }
      }
  }
}

TEST_CASE("transpose_to_strips transposes", "[kernels]") {
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    for (std::size_t rows : kSizes)
      for (std::size_t cols : kSizes) {
        CAPTURE(isa_name(isa), rows, cols);
        const std::size_t stride = rows + 2;
        const std::vector<float> source = numbered(cols * stride);
        StripMatrix target(rows, cols, k);
        k.transpose_to_strips(source.data(), stride, target.view());
        for (std::size_t r = 0; r < rows; ++r)
          for (std::size_t c = 0; c < cols; ++c) REQUIRE(target(r, c) == source[c * stride + r]);
        REQUIRE(padding_is_zero(target));
      }
  }
}
