#include "cli/errors.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "fisherdiag/base/error.hpp"

namespace fisherdiag::cli {

namespace {

int fail(int code, const std::string& sentence) {
  print_error(sentence);
  return code;
}

void report_no_memory() {
  // print_error makes strings, for which there may be no memory either.
  std::fputs("fisherdiag: error: not enough memory for this model; compute takes --max-memory\n", stderr);
}

/// Where an allocation fails in a destructor (nlohmann::json makes a list in its own) only the process can
/// end: the way it does for want of memory elsewhere.
[[noreturn]] void end_process() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    report_no_memory();
    _exit(kBadInput);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fisherdiag: a bug, ended by: %s\n", error.what());
  } catch (...) {
    // what remains for the core file
  }
  std::abort();
}

/// Passes on only std::bad_alloc, which may come from making a sentence too.
int run_with_sentences(const std::function<int()>& action) {
  try {
    return action();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const UsageError& error) {
    return fail(kUsage, error.what());
  } catch (const UnsupportedError& error) {
    return fail(kUnsupportedModel, error.what());
  } catch (const InterruptedError& error) {
    const std::string sentence = error.what();
    return fail(kSignalBase + caught_signal(),
                sentence == "interrupted" ? "interrupted; nothing was written" : sentence);
  } catch (const Error& error) {
    return fail(kBadInput, error.what());
  } catch (const std::exception& error) {
    return fail(kBadInput, std::string("unexpected failure: ") + error.what());
  }
}

}  // namespace

int run_guarded(const std::function<int()>& action) {
  std::set_terminate(end_process);
  try {
    return run_with_sentences(action);
  } catch (const std::bad_alloc&) {
    report_no_memory();
    return kBadInput;
  }
}

}  // namespace fisherdiag::cli
