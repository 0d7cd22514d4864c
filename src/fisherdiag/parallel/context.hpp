// Threads and instruction set of a computation, passed explicitly to everything that runs in parallel.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "fisherdiag/base/isa.hpp"

namespace fisherdiag {

/// Threads this process may really use: min(CPU affinity, ceil(cgroup CPU quota)), at least 1.
int default_threads();

/// Owns a oneTBB arena of `threads` threads; knows which kernels to use. Results never depend on `threads`.
class Context {
 public:
  /// threads == 0 means default_threads(). Throws ArgumentError for negative or more than 1024 threads.
  explicit Context(int threads = 0, Isa isa = default_isa());
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int threads() const;
  Isa isa() const;

  /// Runs body(task, worker) for task = 0 .. tasks-1 in any order, on up to threads() threads; worker is in
  /// [0, threads()) and no two tasks run at once with the same worker. Waits for all. An exception of a body
  /// ends the loop and is rethrown. Bodies must not call parallel_for.
  void parallel_for(std::size_t tasks,
                    const std::function<void(std::size_t task, std::size_t worker)>& body) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fisherdiag
