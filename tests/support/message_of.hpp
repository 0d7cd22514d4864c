// The text of an expected error, for checks on parts of it (Catch2's own matchers differ between its
// versions).
#pragma once

#include <string>

namespace test {

/// what() of the ErrorType that `body` throws; "no error" if it throws nothing; anything else passes through.
template <class ErrorType, class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const ErrorType& error) {
    return error.what();
  }
  return "no error";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace test
