// Files for the tests of this room: a folder of their own, raw bytes, gzip streams, and messages of errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/catch.hpp"

namespace fisherdiag::test {

/// A new folder under the system's temporary one, removed with its content.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "fisherdiag-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  /// Writes a file of these bytes and returns its path. An old one is removed first: truncating it would make
  /// some file systems write it to disk.
  std::filesystem::path file(const std::string& name, std::string_view bytes) const {
    std::filesystem::remove(path_ / name);
    std::ofstream(path_ / name, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path_ / name;
  }

  /// Number of files in the folder, hidden ones too.
  std::size_t count() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What the error of type Error says that `action` throws; fails the test for another error or none.
template <class Error, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    FAIL("an error of another type: " << error.what());
  }
  FAIL("no error");
  return {};
}

/// Requires that `action` throws Error with a message that names the file and contains the reason.
template <class Error, class Action>
void require_error(const std::filesystem::path& file, const std::string& reason, const Action& action) {
  const std::string message = message_of<Error>(action);
  CAPTURE(message);
  REQUIRE(message.find(file.filename().string()) != std::string::npos);
  REQUIRE(message.find(reason) != std::string::npos);
}

/// `value` as `count` bytes, least significant first.
inline std::string little_endian(std::uint64_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

inline std::string big_endian(std::uint64_t value, int count) {
  const std::string bytes = little_endian(value, count);
  return {bytes.rbegin(), bytes.rend()};
}

/// CRC-32 of RFC 1952, section 8, bit by bit.
inline std::uint32_t crc32_of(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0xEDB88320u : 0);
  }
  return ~crc;
}

inline const std::string kGzipHeader("\x1F\x8B\x08\0\0\0\0\0\0\x03", 10);

/// One gzip member that stores `content` uncompressed (RFC 1951, section 3.2.4).
inline std::string gzip_stored(std::string_view content) {
  constexpr std::size_t kMostPerBlock = 65535;
  std::string stream = kGzipHeader;
  std::string_view left = content;
  do {
    const std::string_view block = left.substr(0, kMostPerBlock);
    left.remove_prefix(block.size());
    stream += left.empty() ? '\1' : '\0';
    stream += little_endian(block.size(), 2) + little_endian(~block.size() & 0xFFFF, 2);
    stream += block;
  } while (!left.empty());
  return stream + little_endian(crc32_of(content), 4) + little_endian(content.size(), 4);
}

/// One gzip member of 1 + 258 * `runs` zero bytes in 13 bits per run: fixed Huffman codes, a literal 0, then
/// copies of length 258 and distance 1 (RFC 1951, section 3.2.6).
inline std::string gzip_zeros(std::size_t runs) {
  std::string stream = kGzipHeader;
  unsigned pending = 0;
  int bits = 0;
  const auto put = [&](unsigned code, int length, bool most_significant_first) {
    for (int i = 0; i < length; ++i) {
      pending |= (code >> (most_significant_first ? length - 1 - i : i) & 1u) << bits;
      if (++bits == 8) stream += static_cast<char>(pending);
      if (bits == 8) pending = 0, bits = 0;
    }
  };
  put(0b011, 3, false);      // final block, fixed codes
  put(0b00110000, 8, true);  // literal 0
  for (std::size_t i = 0; i < runs; ++i) {
    put(0b11000101, 8, true);  // length 258
    put(0, 5, true);           // distance 1
  }
  put(0, 7, true);  // end of block
  while (bits != 0) put(0, 1, true);
  const std::string content(1 + 258 * runs, '\0');
  return stream + little_endian(crc32_of(content), 4) + little_endian(content.size(), 4);
}

}  // namespace fisherdiag::test
