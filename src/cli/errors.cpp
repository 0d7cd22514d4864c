#include "cli/errors.hpp"

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

}  // namespace

int run_guarded(const std::function<int()>& action) {
  try {
    return action();
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
  } catch (const std::bad_alloc&) {
    return fail(kBadInput, "not enough memory for this model; compute takes --max-memory");
  } catch (const std::exception& error) {
    return fail(kBadInput, std::string("unexpected failure: ") + error.what());
  }
}

}  // namespace fisherdiag::cli
