#include "cli/signals.hpp"

#include <unistd.h>

#include <csignal>

#include "cli/errors.hpp"
#include "fisherdiag/base/error.hpp"

namespace fisherdiag::cli {

namespace {

constexpr int kSignalsUntilForced = 3;

volatile std::sig_atomic_t g_signal = 0;
volatile std::sig_atomic_t g_count = 0;

void remember(int signal) {
  if (g_signal == 0) g_signal = signal;
  g_count = g_count + 1;
  if (g_count >= kSignalsUntilForced) _exit(kSignalBase + signal);
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
