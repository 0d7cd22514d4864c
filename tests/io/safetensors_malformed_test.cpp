#include <string>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

/// Requires a FormatError for a file of these bytes, naming it and the reason.
void rejected(const std::string& bytes, const std::string& reason) {
  const TemporaryFolder folder;
  const auto path = folder.file("bad.safetensors", bytes);
  require_error<FormatError>(path, reason, [&] { SafetensorsFile file(path); });
}

/// The same for a header and `data_bytes` of data.
void rejected_header(const std::string& header, std::size_t data_bytes, const std::string& reason) {
  CAPTURE(header);
  rejected(little_endian(header.size(), 8) + header + std::string(data_bytes, 'x'), reason);
}

std::string entry(const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "\"F32\"") {
  return R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

}  // namespace

TEST_CASE("safetensors: no file, a folder, a pipe", "[safetensors]") {
  const TemporaryFolder folder;
  require_error<IoError>("none.safetensors", "No such file",
                         [&] { SafetensorsFile f(folder / "none.safetensors"); });
  require_error<IoError>(folder.path(), "is a folder", [&] { SafetensorsFile f(folder.path()); });
  require_error<IoError>("null", "regular", [] { SafetensorsFile f("/dev/null"); });
}

TEST_CASE("safetensors: the header's length", "[safetensors]") {
  rejected("", "is empty");
  rejected("1234567", "truncated");
  rejected(little_endian(3, 8) + "{}", "truncated");
  rejected(little_endian(100'000'001, 8) + "{}", "limit");
  rejected(little_endian(1ull << 63, 8) + "{}", "limit");
  rejected(little_endian(UINT64_MAX, 8) + "{}", "limit");
  rejected(little_endian(UINT64_MAX - 7, 8) + "{}", "limit");  // plus 8 this wraps to 0
  rejected(little_endian(0, 8), "begin with '{'");
}

TEST_CASE("safetensors: the header's text", "[safetensors]") {
  rejected_header("[]", 0, "begin with '{'");
  rejected_header(" {}", 0, "begin with '{'");
  rejected_header("\xEF\xBB\xBF{}", 0, "begin with '{'");
  rejected_header("{", 0, "JSON");
  rejected_header("{}x", 0, "JSON");
  rejected_header("{}{}", 0, "JSON");
  rejected_header("{'a':1}", 0, "JSON");
  rejected_header("{/* */}", 0, "JSON");
  rejected_header(std::string("{}\0hidden", 9), 0, "zero byte");
  rejected_header("{\"\xFF\":" + entry("[1]", "[0,4]") + "}", 4, "UTF-8");
  rejected_header("{\"\xC0\x80\":" + entry("[1]", "[0,4]") + "}", 4, "UTF-8");
  rejected_header(R"({"\ud800":)" + entry("[1]", "[0,4]") + "}", 4, "JSON");
}

TEST_CASE("safetensors: nesting and duplicates", "[safetensors]") {
  constexpr std::size_t kDeep = 100'000;
  rejected_header("{\"a\":" + std::string(kDeep, '['), 0, "array");
  rejected_header("{\"a\":{\"shape\":" + std::string(kDeep, '['), 0, "array");
  std::string objects;
  for (std::size_t i = 0; i < kDeep; ++i) objects += "{\"a\":";
  rejected_header(objects, 0, "unknown key");
  const std::string one = "\"a\":" + entry("[1]", "[0,4]");
  rejected_header("{" + one + "," + one + "}", 4, "'a' twice");
  rejected_header("{\"\\u0061\":" + entry("[1]", "[0,4]") + "," + one + "}", 4, "'a' twice");
  rejected_header(R"({"__metadata__":{"k":"1","k":"2"}})", 0, "'k' twice");
  rejected_header(R"({"__metadata__":{},"__metadata__":{}})", 0, "twice");
  rejected_header(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
                  "'dtype' twice");
}

TEST_CASE("safetensors: metadata must be strings", "[safetensors]") {
  for (const char* value : {"1", "-1", "1.5", "true", "null", "[]", "{}"})
    rejected_header(std::string(R"({"__metadata__":{"k":)") + value + "}}", 0, "not a string");
  rejected_header(R"({"__metadata__":"text"})", 0, "not an object");
  rejected_header(R"({"__metadata__":null})", 0, "not an object");
}

TEST_CASE("safetensors: a tensor's entry", "[safetensors]") {
  const auto tensor = [](const std::string& text) { return "{\"layer\":" + text + "}"; };
  rejected_header(tensor("1"), 0, "'layer'");
  rejected_header(tensor("{}"), 0, "'layer' has no dtype");
  rejected_header(tensor(R"({"dtype":"F32","shape":[1]})"), 4, "no data_offsets");
  rejected_header(tensor(R"({"dtype":"F32","data_offsets":[0,4]})"), 4, "no shape");
  rejected_header(tensor(entry("[1]", "[0,4]", "\"F31\"")), 4, "unknown dtype 'F31'");
  rejected_header(tensor(entry("[1]", "[0,4]", "32")), 4, "dtype");
  rejected_header(tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1})"), 4,
                  "unknown key 'extra'");
  rejected_header(tensor(entry("1", "[0,4]")), 4, "shape");
  rejected_header(tensor(entry("\"1\"", "[0,4]")), 4, "shape");
  rejected_header(tensor(entry("[[1]]", "[0,4]")), 4, "shape");
  rejected_header(tensor(entry("[1]", "[0]")), 4, "fewer than two");
  rejected_header(tensor(entry("[1]", "[0,4,8]")), 4, "more than two");
  std::string ones = "[1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  rejected_header(tensor(entry(ones + "]", "[0,4]")), 4, "64 dimensions");
}

TEST_CASE("safetensors: numbers are exact and whole", "[safetensors]") {
  for (const char* number : {"-1", "-0", "1.0", "1e0", "18446744073709551616", "true", "null", "\"1\""}) {
    CAPTURE(number);
    rejected_header("{\"a\":" + entry(std::string("[") + number + "]", "[0,4]") + "}", 4, "shape");
    rejected_header("{\"a\":" + entry("[1]", std::string("[0,") + number + "]") + "}", 4, "data_offsets");
  }
  // 2^53 + 1 through a double would be 2^53, and these 2^53 bytes would then agree.
  rejected_header("{\"a\":" + entry("[9007199254740992]", "[0,9007199254740993]", "\"U8\"") + "}", 4,
                  "9007199254740993 bytes");
  rejected_header("{\"a\":" + entry("[9007199254740993]", "[0,9007199254740993]", "\"U8\"") + "}", 4,
                  "need 9007199254740993 bytes");
}

TEST_CASE("safetensors: sizes that overflow", "[safetensors]") {
  const auto shape = [](const std::string& text) { return "{\"a\":" + entry(text, "[0,0]") + "}"; };
  rejected_header(shape("[4294967296,4294967296]"), 0, "overflows");  // wraps to exactly 0
  rejected_header(shape("[18446744073709551615,2]"), 0, "overflows");
  rejected_header(shape("[0,4294967296,4294967296]"), 0, "overflows");  // the zero does not excuse it
  rejected_header(shape("[4611686018427387904]"), 0, "overflows");      // elements fit, bytes wrap to 0
  rejected_header(shape("[576460752303423488]"), 0, "overflows");       // bits wrap to 0
}

TEST_CASE("safetensors: offsets cover the data exactly", "[safetensors]") {
  const auto two = [](const std::string& a, const std::string& b) {
    return "{\"a\":" + entry("[1]", a) + ",\"b\":" + entry("[1]", b) + "}";
  };
  rejected_header(two("[0,4]", "[2,6]"), 6, "overlaps");
  rejected_header(two("[0,4]", "[0,4]"), 4, "overlaps");
  rejected_header(two("[0,4]", "[5,9]"), 9, "hole");
  rejected_header(two("[4,8]", "[8,12]"), 12, "hole");
  rejected_header(two("[0,4]", "[8,4]"), 8, "end before");
  rejected_header(two("[0,4]", "[4,8]"), 12, "4 trailing bytes");
  rejected_header(two("[0,4]", "[4,8]"), 7, "truncated");
  rejected_header(two("[0,4]", "[4,9]"), 9, "5 bytes");
  rejected_header("{}", 1, "trailing");
  rejected_header("{\"a\":" + entry("[3]", "[0,2]", "\"F4\"") + "}", 2, "12 bits");
}

TEST_CASE("safetensors: every truncation and every damaged header byte ends in a value or an error",
          "[safetensors]") {
  const TemporaryFolder folder;
  const std::string header = "{\"__metadata__\":{\"k\":\"v\"},\"a\":" + entry("[2]", "[0,8]") + "}";
  const std::string good = little_endian(header.size(), 8) + header + "12345678";
  for (std::size_t length = 0; length < good.size(); ++length) {
    const auto path = folder.file("cut", good.substr(0, length));
    REQUIRE_THROWS_AS(SafetensorsFile(path), FormatError);
  }
  std::size_t accepted = 0;
  for (std::size_t bit = 0; bit < 8 * (8 + header.size()); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const auto path = folder.file("flipped", bad);
    try {
      SafetensorsFile file(path);
      ++accepted;  // a changed letter of a name, a key or a metadata value is still a valid file
    } catch (const FormatError&) {
    }
  }
  // Changeable without harm: "__metadata__" would need an object of a tensor's keys, so only k, v and a, 24
  // bits.
  REQUIRE(accepted <= 24);
}

}  // namespace fisherdiag::test
