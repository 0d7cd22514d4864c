#include "fisherdiag/parallel/context.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

TEST_CASE("every task runs exactly once and no worker runs two tasks at once") {
  for (int threads : {1, 2, 3, 7}) {
    INFO("threads " << threads);
    const Context context(threads);
    REQUIRE(context.threads() == threads);
    for (std::size_t tasks : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> runs(tasks);
      std::vector<std::atomic<int>> busy(static_cast<std::size_t>(threads));
      std::atomic<int> clashes{0}, outside{0};
      context.parallel_for(tasks, [&](std::size_t task, std::size_t worker) {
        if (worker >= busy.size()) {
          ++outside;
          return;
        }
        if (busy[worker].exchange(1) != 0) ++clashes;
        ++runs[task];
        std::this_thread::yield();
        busy[worker].store(0);
      });
      CHECK(outside == 0);
      CHECK(clashes == 0);
      bool once = true;
      for (const std::atomic<int>& count : runs) once = once && count == 1;
      CHECK(once);
    }
  }
}

TEST_CASE("several threads really run at once") {
  // Each of two tasks waits for the other; with one thread this would never end, so a bounded wait decides.
  const Context context(2);
  std::atomic<int> arrived{0};
  std::atomic<int> met{0};
  context.parallel_for(2, [&](std::size_t, std::size_t) {
    ++arrived;
    for (long i = 0; i < 20'000'000 && arrived < 2; ++i) std::this_thread::yield();
    if (arrived == 2) ++met;
  });
  CHECK(met == 2);
}

TEST_CASE("what one worker cannot do is done by the others") {
  // Task 0 ends only when all others have: whoever runs it is held up, and its part must not wait.
  for (int threads : {2, 3, 7}) {
    const Context context(threads);
    constexpr int kTasks = 40;
    std::atomic<int> done{0};
    std::atomic<bool> all_others{false};
    context.parallel_for(kTasks, [&](std::size_t task, std::size_t) {
      if (task > 0) {
        ++done;
        return;
      }
      for (long i = 0; i < 20'000'000 && done < kTasks - 1; ++i) std::this_thread::yield();
      all_others = done == kTasks - 1;
    });
    CHECK(all_others);
  }
}

TEST_CASE("a context of one thread does not hold back another") {
  const Context one(1);
  const Context two(2);
  std::atomic<int> arrived{0}, met{0};
  two.parallel_for(2, [&](std::size_t, std::size_t) {
    ++arrived;
    for (long i = 0; i < 20'000'000 && arrived < 2; ++i) std::this_thread::yield();
    if (arrived == 2) ++met;
  });
  CHECK(met == 2);
}

TEST_CASE("an exception of a body reaches the caller, and the context works afterwards") {
  for (int threads : {1, 2, 7}) {
    const Context context(threads);
    CHECK_THROWS_AS(context.parallel_for(100,
                                         [](std::size_t task, std::size_t) {
                                           if (task == 42) throw DataError("sample 42: bad");
                                         }),
                    DataError);
    std::atomic<int> runs{0};
    context.parallel_for(10, [&](std::size_t, std::size_t) { ++runs; });
    CHECK(runs == 10);
  }
}

TEST_CASE("thread counts out of range are refused, zero means the default") {
  CHECK_THROWS_AS(Context(-1), ArgumentError);
  CHECK_THROWS_AS(Context(1025), ArgumentError);
  CHECK(default_threads() >= 1);
  CHECK(Context(0).threads() == default_threads());
}

TEST_CASE("a context keeps its instruction set") {
  for (Isa isa : available_isas()) CHECK(Context(1, isa).isa() == isa);
}
