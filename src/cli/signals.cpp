#include "cli/signals.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "cli/errors.hpp"
#include "fisherdiag/base/error.hpp"

namespace fisherdiag::cli {

namespace {

constexpr int kSignalsUntilForced = 3;

// Written by the handler, read by every thread of a pass.
std::atomic<int> g_signal{0};
std::atomic<int> g_count{0};
static_assert(std::atomic<int>::is_always_lock_free);

void remember(int signal) {
  int none = 0;
  g_signal.compare_exchange_strong(none, signal);
  if (g_count.fetch_add(1) + 1 >= kSignalsUntilForced) _exit(kSignalBase + signal);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, remember);
  handle(SIGTERM, remember);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGXFSZ, SIG_IGN);
}

int caught_signal() {
  return g_signal;
}

void throw_if_interrupted() {
  if (g_signal != 0) throw InterruptedError("interrupted");
}

}  // namespace fisherdiag::cli
