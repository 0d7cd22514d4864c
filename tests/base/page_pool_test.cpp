#include "fisherdiag/base/page_pool.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "support/catch.hpp"

using fisherdiag::AlignedBuffer;
using fisherdiag::detail::PagePool;

namespace {

bool all_zero(const char* bytes, std::size_t size) {
  return std::all_of(bytes, bytes + size, [](char byte) { return byte == 0; });
}

/// A buffer of the pool, written full so that one handed out twice shows.
struct Taken {
  char* begin;
  std::size_t size;
};

Taken take(PagePool& pool, std::size_t size) {
  auto* begin = static_cast<char*>(pool.take(size));
  REQUIRE(begin != nullptr);
  CHECK(reinterpret_cast<std::uintptr_t>(begin) % 64 == 0);
  CHECK(all_zero(begin, size));
  std::memset(begin, 0xff, size);
  return {begin, size};
}

}  // namespace

TEST_CASE("the pool's buffers are zero and apart from each other, also after others were given back") {
  PagePool pool;
  std::vector<Taken> live;
  for (std::size_t i = 0; i < 60; ++i) {
    live.push_back(take(pool, i % 7 == 0 ? PagePool::kMost : 65536 + 4100 * i));
    if (i % 3 == 2) {
      pool.give_back(live[i / 3].begin, live[i / 3].size);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(i / 3));
    }
  }
  std::sort(live.begin(), live.end(), [](const Taken& a, const Taken& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < live.size(); ++i) CHECK(live[i - 1].begin + live[i - 1].size <= live[i].begin);
  for (const Taken& buffer : live) {
    // Forgetting a neighbour's pages must not touch ours.
    CHECK(
        std::all_of(buffer.begin, buffer.begin + buffer.size, [](char byte) { return byte == char(0xff); }));
    pool.give_back(buffer.begin, buffer.size);
  }
}

TEST_CASE("buffers are taken and given back by several threads at once") {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      for (std::size_t i = 0; i < 40; ++i) {
        AlignedBuffer<int> buffer(20000 + 1000 * i);
        if (std::any_of(buffer.begin(), buffer.end(), [](int value) { return value != 0; })) ++wrong[t];
        std::fill(buffer.begin(), buffer.end(), t + 1);
        if (std::any_of(buffer.begin(), buffer.end(), [t](int value) { return value != t + 1; })) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4));
}
