#include "fisherdiag/fisher/sections.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

constexpr std::size_t kSmall = 1000, kLarge = 1000000, kChain = 512;

std::vector<double> to_vector(const AlignedBuffer<double>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("sections are whole chains, four to sixteen where there are chains for them") {
  for (const std::size_t samples : {1, 511, 512, 513, 2048, 5000, 10000, 60000, 1000000, 100000000})
    for (const std::size_t parameters : {kSmall, kLarge}) {
      const std::size_t rows = section_rows(parameters, kChain, samples);
      CAPTURE(samples, parameters, rows);
      CHECK(rows % kChain == 0);
      const std::size_t sections = (samples + rows - 1) / rows, chains = (samples + kChain - 1) / kChain;
      CHECK(sections >= 1);
      CHECK(sections <= kMostSections);
      if (parameters == kSmall && chains >= 4) CHECK(sections >= 3);
      if (parameters == kLarge) CHECK(rows >= 8 * kChain);
    }
  CHECK(section_rows(kSmall, kChain, 2048) == 512);
  CHECK(section_rows(kLarge, kChain, 60000) == 4096);
  // Chains that are much work are closed one by one.
  CHECK(section_rows(kLarge, 64, 100, 300) == 64);
  CHECK(section_rows(kLarge, 64, 100000, 300) == 98 * 64);
  CHECK(section_rows(kLarge, 64, 100, 7) == 512);
}

TEST_CASE("sections are added one after the other, and by hand give the same bits") {
  // 1 + 2^-60 is lost in a double unless 2^-60 meets its like first.
  const double tiny = 0x1p-60;
  SectionedSum sum(2, 4);
  const auto add = [&](double value) {
    for (std::size_t i = 0; i < 2; ++i) sum.data()[i] += value;
    if (sum.ends_at(2)) sum.fold(0, 2);
    sum.advance(2);
  };
  for (const double value : {1.0, 1.0, tiny, tiny, 1.0}) add(value);
  CHECK(sum.position() == 10);
  CHECK(to_vector(sum.running()) == std::vector<double>{1, 1});
  CHECK(to_vector(sum.total()) == std::vector<double>{2 + 2 * tiny, 2 + 2 * tiny});
  const double by_hand = ((0.0 + (1.0 + 1.0)) + (tiny + tiny)) + 1.0;
  CHECK(to_vector(sum.take()) == std::vector<double>{by_hand, by_hand});
}

TEST_CASE("a sum is put back as it was") {
  SectionedSum sum(1, 2), copy(1, 2);
  sum.data()[0] = 3;
  sum.fold(0, 1);
  sum.data()[0] = 5;
  sum.advance(3);
  AlignedBuffer<double> running(1), total(1);
  running[0] = sum.running()[0];
  total[0] = sum.total()[0];
  copy.restore(sum.position(), std::move(running), std::move(total));
  CHECK_FALSE(copy.ends_at(2));
  CHECK(copy.ends_at(1));
  CHECK(copy.take()[0] == 8);
  sum.clear();
  CHECK(sum.position() == 0);
  CHECK(sum.take()[0] == 0);
}
