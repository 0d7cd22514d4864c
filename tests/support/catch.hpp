// Catch2, whichever major version the system has: version 2 and 3 differ in header names only.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <string>

namespace fisherdiag::testing {

/// Matches a text that contains `part`. Version 2 calls it Contains, version 3 ContainsSubstring.
inline auto contains(const std::string& part) {
#if __has_include(<catch2/catch_all.hpp>)
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

}  // namespace fisherdiag::testing
