// Exit codes, and the error that means the command line itself is wrong.
#pragma once

#include <functional>
#include <stdexcept>

namespace fisherdiag::cli {

enum ExitCode : int {
  kDone = 0,
  kCheckFailed = 1,
  kUsage = 2,
  kBadInput = 3,
  kUnsupportedModel = 4,
  kSignalBase = 128,  ///< plus the number of the signal that ended the run
};

/// What the user typed cannot be meant; what() is one sentence.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Runs `action`; an error it throws becomes one sentence on stderr and its exit code.
int run_guarded(const std::function<int()>& action);

}  // namespace fisherdiag::cli
