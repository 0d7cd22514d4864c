#include "fisherdiag/base/version.hpp"

#include <algorithm>

#include "support/catch.hpp"

TEST_CASE("the version has three numbers") {
  const std::string_view version = fisherdiag::version();
  REQUIRE(std::count(version.begin(), version.end(), '.') == 2);
  REQUIRE(version.find_first_not_of("0123456789.") == std::string_view::npos);
  REQUIRE_FALSE(fisherdiag::compiler().empty());
}
