#include "fisherdiag/kernels/patches.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::StripMatrix;

namespace {

struct Case {
  std::size_t samples, positions, narrow_positions, taps, channels, first_channel, all_channels;
};

const std::vector<Case> kCases{{1, 1, 1, 1, 1, 0, 1},    {2, 9, 4, 3, 16, 0, 16},  {3, 5, 7, 4, 3, 0, 3},
                               {2, 12, 6, 9, 20, 0, 20}, {1, 6, 8, 2, 32, 16, 64}, {2, 4, 5, 5, 5, 7, 40},
                               {2, 3, 3, 2, 17, 3, 33},  {1, 10, 10, 25, 1, 0, 2}};

/// Rows at random, some of them padding.
std::vector<std::int32_t> random_rows(const Case& c) {
  RandomStream random(3, random_stream::kTest, 0);
  std::vector<std::int32_t> rows;
  for (std::size_t i = 0; i < c.taps * c.positions; ++i)
    rows.push_back(static_cast<std::int32_t>(random.next_below(c.narrow_positions + 1)) - 1);
  return rows;
}

template <class Check>
void for_every_case(const Check& check) {
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    for (const Case& c : kCases) {
      CAPTURE(isa_name(isa), c.samples, c.positions, c.narrow_positions, c.taps, c.channels, c.first_channel);
      const std::vector<std::int32_t> rows = random_rows(c);
      check(k, c,
            PatchTable{rows.data(), c.taps, c.positions, c.narrow_positions, c.first_channel, c.channels});
    }
  }
}

/// Ones in strips that end where a page begins that cannot be touched.
class BeforeGuard {
 public:
  BeforeGuard(std::size_t rows, std::size_t cols, std::size_t lanes) {
    const std::size_t stride = rows * lanes, floats = (cols + lanes - 1) / lanes * stride;
    REQUIRE(floats * sizeof(float) <= kPages);
    void* const memory =
        ::mmap(nullptr, 2 * kPages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    begin_ = static_cast<std::byte*>(memory);
    REQUIRE(::mprotect(begin_ + kPages, kPages, PROT_NONE) == 0);
    view_ = {reinterpret_cast<float*>(begin_ + kPages) - floats, rows, cols, stride};
    std::fill_n(view_.data, floats, 1.f);
  }
  ~BeforeGuard() { ::munmap(begin_, 2 * kPages); }
  BeforeGuard(const BeforeGuard&) = delete;
  BeforeGuard& operator=(const BeforeGuard&) = delete;

  const Strips& view() const { return view_; }

 private:
  static constexpr std::size_t kPages = std::size_t{1} << 16;  // whole pages of every usual size
  std::byte* begin_ = nullptr;
  Strips view_;
};

}  // namespace

TEST_CASE("gather_patches lays out what every position sees", "[kernels]") {
  for_every_case([](const KernelTable& k, const Case& c, const PatchTable& table) {
    StripMatrix narrow(c.samples * c.narrow_positions, c.all_channels, k);
    narrow.fill_random(1);
    const std::size_t all_rows = c.samples * c.positions, all_columns = c.taps * c.channels;
    // From the first element, and from within a sample and past the first strip.
    for (const std::size_t first_row : {std::size_t{0}, all_rows / 3})
      for (std::size_t first_column = 0; first_column < all_columns; first_column += 2 * k.lanes) {
        StripMatrix wide(all_rows - first_row, all_columns - first_column, k);
        k.gather_patches(table, narrow.view(), first_row, first_column, wide.view());
        for (std::size_t r = 0; r < wide.rows_; ++r)
          for (std::size_t j = 0; j < wide.cols_; ++j) {
            const std::size_t n = (first_row + r) / c.positions, t = (first_row + r) % c.positions;
            const std::size_t tap = (first_column + j) / c.channels,
                              channel = (first_column + j) % c.channels;
            const std::int32_t row = table.rows[tap * c.positions + t];
            const float expected = row == kNoRow
                                       ? 0.f
                                       : narrow(n * c.narrow_positions + static_cast<std::size_t>(row),
                                                c.first_channel + channel);
            REQUIRE(wide(r, j) == expected);
          }
      }
  });
}

TEST_CASE("scatter_patches is the transpose of gather_patches", "[kernels]") {
  for_every_case([](const KernelTable& k, const Case& c, const PatchTable& table) {
    const std::size_t all_rows = c.samples * c.positions;
    StripMatrix wide(all_rows, c.taps * c.channels, k);
    wide.fill_random(1);
    StripMatrix narrow(c.samples * c.narrow_positions, c.all_channels, k);
    narrow.fill_random(2);
    std::vector<double> expected;
    for (std::size_t r = 0; r < narrow.rows_; ++r)
      for (std::size_t i = 0; i < narrow.cols_; ++i) expected.push_back(narrow(r, i));
    for (std::size_t r = 0; r < all_rows; ++r)
      for (std::size_t j = 0; j < wide.cols_; ++j) {
        const std::int32_t row = table.rows[j / c.channels * c.positions + r % c.positions];
        if (row == kNoRow) continue;
        const std::size_t to = r / c.positions * c.narrow_positions + static_cast<std::size_t>(row);
        expected[to * narrow.cols_ + c.first_channel + j % c.channels] += static_cast<double>(wide(r, j));
      }
    const std::size_t cut = all_rows / 2;  // two calls: rows may come in pieces
    k.scatter_patches(table, wide.rows(0, cut), 0, narrow.view());
    k.scatter_patches(table, wide.rows(cut, all_rows - cut), cut, narrow.view());
    for (std::size_t r = 0; r < narrow.rows_; ++r)
      for (std::size_t i = 0; i < narrow.cols_; ++i)
        // At most positions * taps additions of numbers below 1.
        REQUIRE(std::abs(narrow(r, i) - expected[r * narrow.cols_ + i]) <=
                1e-6 * static_cast<double>(c.positions * c.taps));
  });
}

TEST_CASE("patches touch no rows of other samples", "[kernels]") {
  // Every tap sees the last row, after which nothing can be read.
  constexpr std::size_t kPositions = 3, kTaps = 5;
  const std::vector<std::int32_t> rows(kTaps * kPositions, kPositions - 1);
  for (Isa isa : available_isas()) {
    const KernelTable& k = kernel_table(isa);
    for (const std::size_t channels : {1, 5, 6, 17})
      for (const std::size_t first_channel : {0, 3, 7}) {
        CAPTURE(isa_name(isa), channels, first_channel);
        const PatchTable table{rows.data(), kTaps, kPositions, kPositions, first_channel, channels};
        const BeforeGuard memory(kPositions, first_channel + channels, k.lanes);
        StripMatrix wide(kPositions, kTaps * channels, k);
        for (std::size_t column = 0; column < wide.cols_; column += k.lanes) {
          StripMatrix part(kPositions, wide.cols_ - column, k);
          k.gather_patches(table, memory.view(), 0, column, part.view());
          REQUIRE(part(kPositions - 1, 0) == 1);
        }
        wide.fill_random(1);
        k.scatter_patches(table, wide.view(), 0, memory.view());
      }
  }
}
