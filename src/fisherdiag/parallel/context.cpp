#include "fisherdiag/parallel/context.hpp"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <string>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {
constexpr int kMaxThreads = 1024;
}

struct Context::State {
  State(int threads, Isa level)
      : isa(level),
        // TBB starts no more workers than the machine has cores unless told; an explicit request may exceed that.
        limit(oneapi::tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)),
        arena(threads) {
    arena.initialize();
  }
  Isa isa;
  oneapi::tbb::global_control limit;
  oneapi::tbb::task_arena arena;
};

Context::Context(int threads, Isa isa) {
  if (threads < 0 || threads > kMaxThreads)
    throw ArgumentError("threads must be between 1 and " + std::to_string(kMaxThreads) + ", not " +
                        std::to_string(threads));
  state_ = std::make_unique<State>(threads ? threads : default_threads(), isa);
}
Context::~Context() = default;

int Context::threads() const { return state_->arena.max_concurrency(); }
Isa Context::isa() const { return state_->isa; }

void Context::parallel_for(std::size_t tasks,
                           const std::function<void(std::size_t task, std::size_t worker)>& body) const {
  if (tasks == 0) return;
  if (tasks == 1 || threads() == 1) {
    for (std::size_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  state_->arena.execute([&] {
    oneapi::tbb::parallel_for(
        oneapi::tbb::blocked_range<std::size_t>(0, tasks, 1),
        [&](const oneapi::tbb::blocked_range<std::size_t>& range) {
          const auto worker = static_cast<std::size_t>(oneapi::tbb::this_task_arena::current_thread_index());
          for (std::size_t task = range.begin(); task < range.end(); ++task) body(task, worker);
        },
        oneapi::tbb::simple_partitioner{});
  });
}

}  // namespace fisherdiag
