#include "fisherdiag/io/idx.hpp"

#include <vector>

#include "fisherdiag/base/error.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

std::string idx(const std::vector<std::uint32_t>& dimensions, const std::string& data, char type = '\x08') {
  std::string bytes{'\0', '\0', type, static_cast<char>(dimensions.size())};
  for (const std::uint32_t dimension : dimensions) bytes += big_endian(dimension, 4);
  return bytes + data;
}

/// Bytes 0, 1, 2, ... wrapping at 256.
std::string ramp(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i & 0xFF);
  return bytes;
}

std::vector<float> read_rows(io::IdxFile& file, std::size_t first, std::size_t rows, float divisor = 1.0f) {
  std::vector<float> values(rows * file.row_elements());
  file.read_rows(first, MatrixView<float>(values.data(), rows, file.row_elements()), divisor);
  return values;
}

/// Requires a FormatError, naming the file and the reason, by the time all of its rows are read.
void rejected(const std::string& bytes, const std::string& reason) {
  const TemporaryFolder folder;
  const auto path = folder.file("bad-idx", bytes);
  require_error<FormatError>(path, reason, [&] {
    io::IdxFile file(path);
    read_rows(file, 0, file.shape()[0]);
  });
}

}  // namespace

TEST_CASE("idx: plain and compressed files give the same rows", "[idx]") {
  const TemporaryFolder folder;
  const std::string bytes = idx({100, 3, 5}, ramp(1500));
  const std::size_t half = 700;
  const std::vector<std::string> forms{bytes, gzip_stored(bytes),
                                       gzip_stored(bytes.substr(0, half)) + gzip_stored(bytes.substr(half)),
                                       gzip_stored("") + gzip_stored(bytes)};
  for (const std::string& form : forms) {
    io::IdxFile file(folder.file("named-nothing", form));
    REQUIRE(file.shape() == std::vector<std::size_t>{100, 3, 5});
    REQUIRE(file.row_elements() == 15);
    for (const std::size_t first : {0u, 40u, 99u, 3u, 3u}) {  // forward, then back
      const std::vector<float> row = read_rows(file, first, 1);
      for (std::size_t i = 0; i < row.size(); ++i)
        REQUIRE(row[i] == static_cast<float>((first * 15 + i) & 0xFF));
    }
  }
}

TEST_CASE("idx: pixels are divided exactly, strides respected, long runs joined", "[idx]") {
  const TemporaryFolder folder;
  const std::size_t rows = 300, width = 1000;  // more than one internal read
  io::IdxFile file(folder.file("images", gzip_stored(idx({300, 1000}, ramp(rows * width)))));
  const std::vector<float> values = read_rows(file, 0, rows, 255.0f);
  for (std::size_t i = 0; i < values.size(); ++i) REQUIRE(values[i] == static_cast<float>(i & 0xFF) / 255.0f);
  std::vector<float> strided(2 * (width + 1), -1.0f);
  file.read_rows(7, MatrixView<float>(strided.data(), 2, width, width + 1), 255.0f);
  for (std::size_t c = 0; c < width; ++c) {
    REQUIRE(strided[c] == values[7 * width + c]);
    REQUIRE(strided[width + 1 + c] == values[8 * width + c]);
  }
  REQUIRE(strided[width] == -1.0f);
}

TEST_CASE("idx: no file, a folder", "[idx]") {
  const TemporaryFolder folder;
  require_error<IoError>("none-ubyte", "No such file", [&] { io::IdxFile file(folder / "none-ubyte"); });
  require_error<IoError>(folder.path(), "is a folder", [&] { io::IdxFile file(folder.path()); });
}

TEST_CASE("idx: every element type, big-endian", "[idx]") {
  const TemporaryFolder folder;
  const auto values = [&](char type, const std::string& data) {
    io::IdxFile file(folder.file("typed", idx({2}, data, type)));
    return read_rows(file, 0, 2);
  };
  REQUIRE(values('\x08', "\x01\xFF") == std::vector<float>{1, 255});
  REQUIRE(values('\x09', "\x01\xFF") == std::vector<float>{1, -1});
  REQUIRE(values('\x0B', big_endian(258, 2) + big_endian(0xFFFE, 2)) == std::vector<float>{258, -2});
  REQUIRE(values('\x0C', big_endian(66051, 4) + big_endian(0xFFFFFFFD, 4)) == std::vector<float>{66051, -3});
  REQUIRE(values('\x0D', big_endian(0x3FC00000, 4) + big_endian(0xC0000000, 4)) ==
          std::vector<float>{1.5f, -2});
  REQUIRE(values('\x0E', big_endian(0x3FF8000000000000, 8) + big_endian(0xC000000000000000, 8)) ==
          std::vector<float>{1.5f, -2});
}

TEST_CASE("idx: bad headers", "[idx]") {
  rejected("", "truncated");
  rejected(std::string("\0\0\x08", 3), "truncated");
  rejected(std::string("\x01\0\x08\x01", 4) + "0001x", "magic");
  rejected(idx({1}, "1234", '\x0A'), "type 10");
  rejected(idx({1}, "1234", '\x0E'), "truncated");
  rejected(idx({}, "x"), "without dimensions");
  rejected(idx({1, 1}, "").substr(0, 10), "truncated");
  rejected(idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, ""), "overflows");
  rejected(idx({1u << 31, 1u << 31, 4}, ""), "overflows");  // wraps to exactly 0
  rejected(idx({0, 1u << 31, 1u << 31, 4}, ""), "overflows");
  rejected(idx(std::vector<std::uint32_t>(255, 2), "x"), "overflows");
  rejected(idx({0x80000000u}, "x"), "truncated");  // negative if sizes were signed
}

TEST_CASE("idx: content shorter or longer than the header says", "[idx]") {
  const std::string good = idx({4, 2}, ramp(8));
  rejected(good.substr(0, good.size() - 1), "truncated");
  rejected(good + "x", "trailing");
  rejected(gzip_stored(good.substr(0, good.size() - 1)), "truncated");
  rejected(gzip_stored(good + "x"), "trailing");
  rejected(gzip_stored(good) + gzip_stored("x"), "trailing");
  const TemporaryFolder folder;
  for (std::size_t length = 0; length < good.size(); ++length)
    REQUIRE_THROWS_AS(io::IdxFile(folder.file("cut", good.substr(0, length))), FormatError);
}

TEST_CASE("gzip: every truncation is an error, never an end", "[gzip]") {
  const TemporaryFolder folder;
  const std::string stream = gzip_stored(idx({4, 2}, ramp(8)));
  for (std::size_t length = 2; length < stream.size(); ++length) {
    CAPTURE(length);
    const auto path = folder.file("cut.gz", stream.substr(0, length));
    require_error<FormatError>(path, "truncated", [&] {
      io::IdxFile file(path);
      read_rows(file, 0, 4);
    });
  }
}

TEST_CASE("gzip: damage is found by the time the last row is read", "[gzip]") {
  const std::string stream = gzip_stored(idx({4, 2}, ramp(8)));
  for (const std::size_t from_end : {1u, 4u, 5u, 8u, 9u}) {  // length, checksum, the last content byte
    std::string bad = stream;
    bad[bad.size() - from_end] = static_cast<char>(bad[bad.size() - from_end] ^ 1);
    rejected(bad, "incorrect");
  }
  rejected(stream + "junk", "4 trailing bytes");
  rejected(stream + std::string(1, '\0'), "trailing");
  rejected(stream + kGzipHeader, "truncated");
  std::string method = stream;
  method[2] = '\x07';
  rejected(method, "damaged");
}

TEST_CASE("gzip: a bomb is stopped at the size its header declares", "[gzip]") {
  // 64 MiB of zeros in about 400 kB, after a header that promises ten bytes.
  constexpr std::size_t kRuns = (64u << 20) / 258;
  static const std::string zeros = gzip_zeros(kRuns);
  rejected(gzip_stored(idx({10, 1}, "")) + zeros, "trailing");
  // The other way round: 2^40 promised bytes that a small file cannot hold must not size a buffer.
  rejected(gzip_stored(idx({1u << 20, 1u << 20}, "")), "compressed bytes can hold");
  // The same stream with an honest header reads well.
  const TemporaryFolder folder;
  constexpr std::uint32_t kCount = 1 + 258 * 1000;
  io::IdxFile file(folder.file("honest", gzip_stored(idx({kCount, 1}, "")) + gzip_zeros(1000)));
  REQUIRE(read_rows(file, 0, kCount) == std::vector<float>(kCount, 0.0f));
}

}  // namespace fisherdiag::test
