#include "fisherdiag/io/npy.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

/// A .npy file's bytes, format version 1.0, 2.0 or 3.0.
std::string npy(const std::string& dictionary, const std::string& data, int version = 1) {
  const std::string magic = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  return magic + little_endian(dictionary.size(), version == 1 ? 2 : 4) + dictionary + data;
}

std::string dictionary(const std::string& descr, const std::string& shape,
                       const std::string& fortran = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

std::vector<float> read_all(const NpyFile& file) {
  const std::size_t rows = file.shape().empty() ? 1 : file.shape()[0];
  std::vector<float> values(rows * file.row_elements());
  file.read_rows(0, MatrixView<float>(values.data(), rows, file.row_elements()));
  return values;
}

void rejected(const std::string& bytes, const std::string& reason) {
  const TemporaryFolder folder;
  const auto path = folder.file("bad.npy", bytes);
  require_error<FormatError>(path, reason, [&] { NpyFile file(path); });
}

}  // namespace

TEST_CASE("npy: what is written is read back bit for bit", "[npy]") {
  const TemporaryFolder folder;
  const std::vector<float> values{1.5f,   -0.0f,     std::numeric_limits<float>::quiet_NaN(),
                                  1e-45f, HUGE_VALF, 3.0f};
  const std::vector<std::vector<std::size_t>> shapes{{6}, {2, 3}, {1, 2, 3}, {6, 1, 1}};
  for (const auto& shape : shapes) {
    write_npy(folder / "a.npy", values, shape);
    REQUIRE(read_file(folder / "a.npy").size() == 128 + 24);
    const NpyFile file(folder / "a.npy");
    REQUIRE(file.shape() == shape);
    REQUIRE_FALSE(file.is_integer());
    const std::vector<float> back = read_all(file);
    REQUIRE(back.size() == values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      REQUIRE(std::bit_cast<std::uint32_t>(back[i]) == std::bit_cast<std::uint32_t>(values[i]));
  }
  write_npy(folder / "a.npy", std::vector<float>{7.0f}, {});
  REQUIRE(read_all(NpyFile(folder / "a.npy")) == std::vector<float>{7.0f});
  const std::vector<std::size_t> wrong{5};
  require_error<ArgumentError>("b.npy", "shape", [&] { write_npy(folder / "b.npy", values, wrong); });
}

TEST_CASE("npy: every dtype, both byte orders", "[npy]") {
  struct Case {
    const char* type;
    int bytes;
    std::uint64_t first, second;
    float expected_first, expected_second;
    bool integer;
  };
  const auto f8 = [](double value) { return std::bit_cast<std::uint64_t>(value); };
  const auto f4 = [](float value) { return std::uint64_t{std::bit_cast<std::uint32_t>(value)}; };
  const std::vector<Case> cases{
      {"b1", 1, 0, 1, 0, 1, true},
      {"i1", 1, 0x80, 0x7F, -128, 127, true},
      {"u1", 1, 0x80, 0xFF, 128, 255, true},
      {"i2", 2, 0x8000, 0x0102, -32768, 258, true},
      {"u2", 2, 0x8000, 0x0102, 32768, 258, true},
      {"i4", 4, 0xFFFFFFFE, 0x00010203, -2, 66051, true},
      {"u4", 4, 0xFFFFFFFE, 0x00010203, 4294967294.0f, 66051, true},
      {"i8", 8, static_cast<std::uint64_t>(-3), 5, -3, 5, true},
      {"u8", 8, static_cast<std::uint64_t>(-3), 5, 18446744073709551613.0f, 5, true},
      {"f2", 2, 0x3555, 0x8001, 0.333251953125f, -0x1p-24f, false},
      {"f4", 4, f4(0.1f), f4(-1e-40f), 0.1f, -1e-40f, false},
      {"f8", 8, f8(0.1), f8(-1e300), 0.1f, -HUGE_VALF, false},
  };
  const TemporaryFolder folder;
  for (const Case& c : cases) {
    CAPTURE(c.type);
    const std::string little = c.bytes == 1 ? "|" : "<", big = c.bytes == 1 ? "|" : ">";
    const NpyFile a(
        folder.file("a.npy", npy(dictionary("'" + little + c.type + "'", "(2,)"),
                                 little_endian(c.first, c.bytes) + little_endian(c.second, c.bytes))));
    const NpyFile b(folder.file("b.npy", npy(dictionary("'" + big + c.type + "'", "(2,)"),
                                             big_endian(c.first, c.bytes) + big_endian(c.second, c.bytes))));
    const std::vector<float> expected{c.expected_first, c.expected_second};
    REQUIRE(read_all(a) == expected);
    REQUIRE(read_all(b) == expected);
    REQUIRE(a.is_integer() == c.integer);
  }
}

TEST_CASE("npy: every half-precision number", "[npy]") {
  std::string data;
  for (unsigned bits = 0; bits < 0x10000; ++bits) data += little_endian(bits, 2);
  const TemporaryFolder folder;
  const std::vector<float> values =
      read_all(NpyFile(folder.file("h.npy", npy(dictionary("'<f2'", "(65536,)"), data))));
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
    const float sign = bits & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31 && fraction != 0) {
      REQUIRE(std::isnan(values[bits]));
      continue;
    }
    // IEEE 754 binary16 by its definition; every product here is exact in float.
    const float magnitude = exponent == 31  ? HUGE_VALF
                            : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                            : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
    REQUIRE(values[bits] == sign * magnitude);
    REQUIRE(std::signbit(values[bits]) == std::signbit(sign));
  }
}

TEST_CASE("npy: rows, strides and ranges", "[npy]") {
  const TemporaryFolder folder;
  std::vector<float> values(5 * 3);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  write_npy(folder / "a.npy", values, std::vector<std::size_t>{5, 3});
  const NpyFile file(folder / "a.npy");
  std::vector<float> out(2 * 4, -1.0f);
  file.read_rows(2, MatrixView<float>(out.data(), 2, 3, 4));
  REQUIRE(out == std::vector<float>{6, 7, 8, -1, 9, 10, 11, -1});
  file.read_rows(5, MatrixView<float>(out.data(), 0, 3));
  const auto read = [&](std::size_t first, std::size_t rows, std::size_t cols) {
    return [&file, &out, first, rows, cols] {
      file.read_rows(first, MatrixView<float>(out.data(), rows, cols));
    };
  };
  require_error<ArgumentError>("a.npy", "rows", read(4, 2, 3));
  require_error<ArgumentError>("a.npy", "rows", read(6, 0, 3));
  require_error<ArgumentError>("a.npy", "width", read(0, 1, 2));
}

TEST_CASE("npy: valid oddities load", "[npy]") {
  const TemporaryFolder folder;
  const auto shape_of = [&](const std::string& bytes) {
    return NpyFile(folder.file("odd.npy", bytes)).shape();
  };
  using Shape = std::vector<std::size_t>;
  REQUIRE(shape_of(npy(dictionary("'<f4'", "(1,)"), "1234", 2)) == Shape{1});
  REQUIRE(shape_of(npy(dictionary("'<f4'", "(1,)"), "1234", 3)) == Shape{1});
  REQUIRE(shape_of(npy("{\"shape\":(1,1),\"fortran_order\":False,\"descr\":\"<f4\"}", "1234")) ==
          Shape{1, 1});
  REQUIRE(shape_of(npy(dictionary("'<f4'", "(1L,)"), "1234")) == Shape{1});
  REQUIRE(shape_of(npy(dictionary("'<f4'", "(1,)", "True"), "1234")) == Shape{1});
  REQUIRE(shape_of(npy(dictionary("'<f4'", "()"), "1234")) == Shape{});
  REQUIRE(shape_of(npy(dictionary("'<f4'", "(0, 7)"), "")) == Shape{0, 7});
}

TEST_CASE("npy: files that are not .npy, or cut", "[npy]") {
  rejected("", "is empty");
  rejected("\x93NUMPY", "truncated");
  rejected("NUMPY and more text", "magic");
  rejected(std::string("\x93NUMPY\x04\0", 8) + std::string(100, ' '), "version 4.0");
  rejected(std::string("\x93NUMPY\x01\x01", 8) + std::string(100, ' '), "version 1.1");
  rejected(std::string("\x93NUMPY\x02\0\xFF\xFF\xFF\xFF", 12), "4294967295 bytes");
  rejected(std::string("\x93NUMPY\x01\0\x11\x27", 10) + std::string(10'001, ' '), "10001 bytes");
  rejected(std::string("\x93NUMPY\x01\0\x76\0", 10) + "{'descr'", "truncated");
  const std::string good = npy(dictionary("'<f4'", "(2, 3)"), std::string(24, 'x'));
  for (std::size_t length = 0; length < good.size(); ++length) {
    const TemporaryFolder folder;
    REQUIRE_THROWS_AS(NpyFile(folder.file("cut.npy", good.substr(0, length))), FormatError);
  }
  rejected(good.substr(0, good.size() - 1), "truncated");
  rejected(good + "x", "trailing");
}

TEST_CASE("npy: headers that are not a plain dictionary", "[npy]") {
  const auto with = [](const std::string& text) { return npy(text, "1234"); };
  rejected(with("[]"), "dictionary");
  rejected(with("{}"), "without");
  rejected(with("{'descr': '<f4', 'fortran_order': False}"), "without");
  rejected(with("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)"), "dictionary");
  rejected(with(dictionary("'<f4'", "(1,)") + "x"), "after");
  rejected(with("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"), "'descr' twice");
  rejected(with("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}"), "unknown key 'more'");
  rejected(with("{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}"), "bad.npy");
  rejected(with("{'descr': '<f4"), "string");
  rejected(with(dictionary("'<f4'", "(1,)", "0")), "fortran_order");
  rejected(with(dictionary("'<f4'", "1")), "dictionary");
  rejected(with(dictionary("'<f4'", "(1)")), "tuple");
  rejected(with(dictionary("'<f4'", "(1 1)")), "expected ','");
  rejected(with(dictionary("'<f4'", "(-1,)")), "whole number");
  rejected(with(dictionary("'<f4'", "(1.0,)")), "expected");
  rejected(with(dictionary("'<f4'", "(np.int64(1),)")), "whole number");
  rejected(with(dictionary("'<f4'", "(" + std::string(5000, '(') + ")")), "whole number");
  std::string ones;
  for (int i = 0; i < 65; ++i) ones += "1,";
  rejected(with(dictionary("'<f4'", "(" + ones + ")")), "64 dimensions");
}

TEST_CASE("npy: dtypes and layouts that are not read", "[npy]") {
  rejected(npy(dictionary("'|O'", "(1,)"), "1234"), "Python objects");
  rejected(npy(dictionary("[('a', '<f4')]", "(1,)"), "1234"), "structured");
  for (const char* type : {"'<c8'", "'<U1'", "'|S4'", "'<M8[s]'", "'<f16'", "'f4'", "'|f4'", "'?f4'", "''"}) {
    CAPTURE(type);
    rejected(npy(dictionary(type, "(1,)"), "1234"), "dtype");
  }
  rejected(npy(dictionary("'<f4'", "(1, 1)", "True"), "1234"), "Fortran order");
}

TEST_CASE("npy: shapes that overflow", "[npy]") {
  rejected(npy(dictionary("'<f4'", "(4294967296, 4294967296)"), ""), "overflows");  // wraps to exactly 0
  rejected(npy(dictionary("'<f4'", "(4611686018427387904,)"), ""), "overflows");  // times 4 bytes wraps to 0
  rejected(npy(dictionary("'<f4'", "(18446744073709551616,)"), ""), "overflows");
  rejected(npy(dictionary("'<f4'", "(0, 4294967296, 4294967296)"), ""), "overflows");
  rejected(npy(dictionary("'|u1'", "(9007199254740993,)"), ""), "9007199254740993 bytes");
}

}  // namespace fisherdiag::test
