#include "fisherdiag/kernels/pool.hpp"

#include <cmath>
#include <limits>

#include "kernels/strip_matrix.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using namespace fisherdiag::kernels;
using fisherdiag::testing::StripMatrix;

namespace {

/// Windows that overlap, of different sizes, over 6 positions; or a partition of them.
struct Windows {
  std::vector<std::int32_t> begin, positions;
  PoolWindows view() const { return {begin.data(), positions.data(), begin.size() - 1, 6}; }
};
const Windows kOverlapping{{0, 3, 4, 8}, {0, 1, 2, 2, 5, 2, 3, 1}};
const Windows kPartition{{0, 2, 5, 6}, {1, 0, 2, 5, 3, 4}};
constexpr std::size_t kSamples = 3;

template <class Check>
void for_every_case(const Check& check) {
  for (Isa isa : available_isas())
    for (const Windows* windows : {&kOverlapping, &kPartition})
      for (std::size_t channels : {1u, 16u, 21u}) {
        CAPTURE(isa_name(isa), channels, windows == &kPartition);
        check(kernel_table(isa), *windows, channels);
      }
}

/// Few different values, so that windows have equal maxima.
StripMatrix make_input(std::size_t channels, const KernelTable& k) {
  StripMatrix input(kSamples * 6, channels, k);
  RandomStream random(5, random_stream::kTest, 0);
  for (std::size_t r = 0; r < input.rows_; ++r)
    for (std::size_t c = 0; c < channels; ++c) input(r, c) = static_cast<float>(random.next_below(4)) - 1.5f;
  return input;
}

}  // namespace

TEST_CASE("max_pool gives the largest of each window, and NaN where there is one", "[kernels]") {
  for_every_case([](const KernelTable& k, const Windows& w, std::size_t channels) {
    const PoolWindows view = w.view();
    StripMatrix input = make_input(channels, k), output(kSamples * view.places, channels, k);
    input(8, 0) = std::numeric_limits<float>::quiet_NaN();  // position 2 of sample 1
    k.max_pool(view, input.view(), output.view());
    for (std::size_t n = 0; n < kSamples; ++n)
      for (std::size_t t = 0; t < view.places; ++t)
        for (std::size_t c = 0; c < channels; ++c) {
          float largest = -100;
          bool nan = false;
          for (auto j = static_cast<std::size_t>(w.begin[t]); j < static_cast<std::size_t>(w.begin[t + 1]);
               ++j) {
            const float x = input(n * 6 + static_cast<std::size_t>(w.positions[j]), c);
            nan = nan || std::isnan(x);
            largest = std::max(largest, x);
          }
          const float found = output(n * view.places + t, c);
          REQUIRE((nan ? std::isnan(found) : found == largest));
        }
  });
}

TEST_CASE("max_pool_backward gives each delta to the first of the largest", "[kernels]") {
  for_every_case([](const KernelTable& k, const Windows& w, std::size_t channels) {
    const PoolWindows view = w.view();
    StripMatrix input = make_input(channels, k), output(kSamples * view.places, channels, k);
    StripMatrix delta(kSamples * view.places, channels, k), below(kSamples * 6, channels, k);
    k.max_pool(view, input.view(), output.view());
    delta.fill_random(2);
    for (const bool write : {false, true}) {
      if (write && &w != &kPartition) continue;
      below.fill_random(3);
      std::vector<float> expected(kSamples * 6 * channels);
      for (std::size_t r = 0; r < kSamples * 6; ++r)
        for (std::size_t c = 0; c < channels; ++c) expected[r * channels + c] = write ? 0.f : below(r, c);
      for (std::size_t n = 0; n < kSamples; ++n)
        for (std::size_t t = 0; t < view.places; ++t)
          for (std::size_t c = 0; c < channels; ++c)
            for (auto j = static_cast<std::size_t>(w.begin[t]); j < static_cast<std::size_t>(w.begin[t + 1]);
                 ++j) {
              const std::size_t row = n * 6 + static_cast<std::size_t>(w.positions[j]);
              if (input(row, c) != output(n * view.places + t, c)) continue;
              expected[row * channels + c] += delta(n * view.places + t, c);
              break;
            }
      k.max_pool_backward({view, input.view(), output.view(), delta.view(), below.view(), write});
      for (std::size_t r = 0; r < kSamples * 6; ++r)
        for (std::size_t c = 0; c < channels; ++c)
          REQUIRE(below(r, c) == Approx(expected[r * channels + c]).margin(1e-6));
    }
  });
}
