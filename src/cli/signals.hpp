// Ctrl-C and termination as a flag that long work looks at.
#pragma once

namespace fisherdiag::cli {

/// SIGINT and SIGTERM set a flag, the third of them ends the process at once. SIGXFSZ and SIGPIPE are
/// ignored, so that a write that hits them fails with an error and is cleaned up after.
void install_signal_handlers();

/// The first SIGINT or SIGTERM received; 0 if none was.
int caught_signal();

/// Throws InterruptedError if a signal was caught.
void throw_if_interrupted();

}  // namespace fisherdiag::cli
