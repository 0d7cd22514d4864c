#include "fisherdiag/base/aligned.hpp"

#include <cstdint>
#include <limits>
#include <new>
#include <utility>

#include "support/catch.hpp"

using fisherdiag::AlignedBuffer;

TEST_CASE("a buffer is aligned to 64 bytes, zero, and of the size asked for") {
  // 1 << 18 floats (1 MiB) come from the pool, 3 << 20 (12 MiB) from a mapping of their own.
  for (std::size_t size :
       {std::size_t{1}, std::size_t{15}, std::size_t{1000}, std::size_t{1} << 18, std::size_t{3} << 20}) {
    const AlignedBuffer<float> buffer(size);
    CHECK(buffer.size() == size);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    bool zero = true;
    for (float value : buffer) zero = zero && value == 0.0f;
    CHECK(zero);
  }
}

TEST_CASE("an empty buffer has no memory") {
  CHECK(AlignedBuffer<double>().empty());
  CHECK(AlignedBuffer<double>(0).data() == nullptr);
}

TEST_CASE("the memory of a buffer is at least its size and little more") {
  REQUIRE(fisherdiag::aligned_bytes(0) == 0);
  for (std::size_t bytes = 1; bytes < (std::size_t{1} << 26); bytes = bytes * 3 + 1) {
    REQUIRE(fisherdiag::aligned_bytes(bytes) >= bytes);
    // A cache line and bookkeeping; of a mapping of its own, the rest of a huge page.
    REQUIRE(fisherdiag::aligned_bytes(bytes) <=
            bytes + (bytes <= (std::size_t{4} << 20) ? 128 : std::size_t{2} << 20));
  }
}

TEST_CASE("moving a buffer hands its memory over") {
  AlignedBuffer<int> source(4);
  source[3] = 42;
  const int* memory = source.data();
  AlignedBuffer<int> target(std::move(source));
  CHECK(target.data() == memory);
  AlignedBuffer<int> other(2);
  other = std::move(target);
  CHECK(other.data() == memory);
  CHECK(other.size() == 4);
  CHECK(other[3] == 42);
}

TEST_CASE("a size that overflows memory is bad_alloc, not a small buffer") {
  // size * sizeof(double) wraps to 8.
  constexpr std::size_t kWraps = std::numeric_limits<std::size_t>::max() / sizeof(double) + 2;
  CHECK_THROWS_AS(AlignedBuffer<double>(kWraps), std::bad_alloc);
  CHECK_THROWS_AS(AlignedBuffer<char>(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
}
