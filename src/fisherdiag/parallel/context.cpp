#include "fisherdiag/parallel/context.hpp"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <memory>
#include <mutex>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/parallel/shared_tasks.hpp"

namespace fisherdiag {

namespace {

constexpr int kMaxThreads = 1024;

/// Lets the process have as many workers as the largest context asks for. oneTBB stops at the number of cores
/// unless told otherwise, and applies the smallest of all limits alive, so there is one for the process and
/// it only grows.
void allow_workers(int threads) {
  using oneapi::tbb::global_control;
  static std::mutex mutex;
  static std::unique_ptr<global_control> limit;
  const std::lock_guard lock(mutex);
  const auto wanted = static_cast<std::size_t>(threads);
  if (wanted <= global_control::active_value(global_control::max_allowed_parallelism)) return;
  limit.reset();
  limit = std::make_unique<global_control>(global_control::max_allowed_parallelism, wanted);
}

}  // namespace

struct Context::State {
  State(int threads, Isa level) : isa(level), spins(threads <= default_threads()), arena(threads) {
    allow_workers(threads);
    arena.initialize();
  }
  Isa isa;
  bool spins;
  oneapi::tbb::task_arena arena;
};

Context::Context(int threads, Isa isa) {
  if (threads < 0 || threads > kMaxThreads)
    throw ArgumentError("threads must be between 1 and " + std::to_string(kMaxThreads) + ", not " +
                        std::to_string(threads));
  state_ = std::make_unique<State>(threads ? threads : default_threads(), isa);
}
Context::~Context() = default;

int Context::threads() const {
  return state_->arena.max_concurrency();
}
Isa Context::isa() const {
  return state_->isa;
}

void Context::parallel_for(std::size_t tasks,
                           const std::function<void(std::size_t task, std::size_t worker)>& body) const {
  if (tasks == 0) return;
  if (tasks == 1 || threads() == 1) {
    for (std::size_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  // More threads than processors would spin where others could work.
  SharedTasks shared(tasks, static_cast<std::size_t>(threads()), state_->spins, body);
  state_->arena.execute([&] {
    oneapi::tbb::parallel_for(
        oneapi::tbb::blocked_range<std::size_t>(0, static_cast<std::size_t>(threads()), 1),
        [&](const auto&) {
          shared.work(static_cast<std::size_t>(oneapi::tbb::this_task_arena::current_thread_index()));
        },
        oneapi::tbb::simple_partitioner{});
  });
}

}  // namespace fisherdiag
