#include "fisherdiag/base/error.hpp"

#include <string>

#include "support/catch.hpp"

using namespace fisherdiag;

TEST_CASE("a format error names the file, the reason and, where known, the byte") {
  CHECK(std::string(FormatError("w.npy", "the header is cut short").what()) ==
        "w.npy: the header is cut short");
  CHECK(std::string(FormatError("w.npy", "bad magic", 0).what()) == "w.npy: bad magic (at byte 0)");
  CHECK(std::string(FormatError("w.npy", "bad byte", 5'000'000'000u).what()) ==
        "w.npy: bad byte (at byte 5000000000)");
}

TEST_CASE("every error of the library is an Error and a runtime_error") {
  CHECK_THROWS_AS(throw ArgumentError("a"), Error);
  CHECK_THROWS_AS(throw IoError("a"), Error);
  CHECK_THROWS_AS(throw FormatError("a", "b"), Error);
  CHECK_THROWS_AS(throw DataError("a"), Error);
  CHECK_THROWS_AS(throw UnsupportedError("a"), Error);
  CHECK_THROWS_AS(throw InterruptedError("a"), std::runtime_error);
}
