// How the tasks of one parallel loop are dealt to its workers. Internal to parallel/.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#include <immintrin.h>
#else
#include <thread>
#endif

namespace fisherdiag {

/// ThreadSanitizer sees races only between threads that take part, and the first to come would do a short
/// loop alone: under it, everybody has this long to do what is theirs. That orders nothing.
#if defined(__SANITIZE_THREAD__)
inline constexpr std::chrono::milliseconds kLeftToOthers{200};
#else
inline constexpr std::chrono::milliseconds kLeftToOthers{0};
#endif

/// Tasks 0 .. tasks-1 in one range per worker, equal ones and the first few one longer. Each takes its own
/// from the front, the same ones loop after loop, so that they are still in its cache; then what others have
/// left.
///
/// Who finds nothing left spins until the others are done too. oneTBB would give the processor away at once:
/// beside another process's work it comes back a time slice (3 ms) later, longer than many a loop of ours.
class SharedTasks {
 public:
  using Body = std::function<void(std::size_t task, std::size_t worker)>;

  SharedTasks(std::size_t tasks, std::size_t workers, bool spins, const Body& body)
      : tasks_(tasks), spins_(spins), body_(body), ranges_(workers) {
    for (std::size_t w = 0, begin = 0; w < workers; ++w) {
      ranges_[w].next.store(begin, std::memory_order_relaxed);
      begin += tasks / workers + (w < tasks % workers ? 1 : 0);
      ranges_[w].end = begin;
    }
  }

  /// Does what is left and may wait for what others do. An exception of a body ends it for all workers.
  void work(std::size_t worker) {
    drain(ranges_[worker], worker);
    if (kLeftToOthers.count() > 0) spin(kLeftToOthers);
    for (std::size_t w = 1; w < ranges_.size(); ++w) drain(ranges_[(worker + w) % ranges_.size()], worker);
    if (spins_) spin(kLongestSpin);
  }

 private:
  struct alignas(64) Range {
    std::atomic<std::size_t> next;
    std::size_t end;
  };

  /// Longer than the last task of a loop takes; after that the processor is left to others.
  static constexpr std::chrono::milliseconds kLongestSpin{2};

  void drain(Range& range, std::size_t worker) {
    while (!failed()) {
      const std::size_t task = range.next.fetch_add(1, std::memory_order_relaxed);
      if (task >= range.end) return;
      try {
        body_(task, worker);
      } catch (...) {
        failed_.store(true, std::memory_order_relaxed);
        throw;
      }
      finished_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  bool failed() const { return failed_.load(std::memory_order_relaxed); }

  void spin(std::chrono::milliseconds longest) const {
    const auto end = std::chrono::steady_clock::now() + longest;
    while (finished_.load(std::memory_order_relaxed) < tasks_ && !failed() &&
           std::chrono::steady_clock::now() < end)
      pause();
  }

  static void pause() {
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    for (int i = 0; i < 16; ++i) _mm_pause();
#else
    std::this_thread::yield();
#endif
  }

  const std::size_t tasks_;
  const bool spins_;
  const Body& body_;
  std::vector<Range> ranges_;
  alignas(64) std::atomic<std::size_t> finished_{0};
  std::atomic<bool> failed_{false};
};

}  // namespace fisherdiag
