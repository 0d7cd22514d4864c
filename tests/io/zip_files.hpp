// Zip archives written byte by byte, right or wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/files.hpp"

namespace fisherdiag::test {

/// A raw deflate stream of one stored block (RFC 1951, section 3.2.4).
inline std::string deflate_stored(const std::string& content) {
  return '\1' + little_endian(content.size(), 2) + little_endian(~content.size() & 0xFFFF, 2) + content;
}

struct ZipPart {
  std::string name;
  std::string content;
  bool deflated = false;
  std::uint32_t crc_change = 0;   ///< xor'ed into the checksum
  int size_change = 0;            ///< added to the promised size
  std::uint16_t method = 0xFFFF;  ///< instead of the right one
  std::uint16_t flags = 0;
  std::string local_name = {};  ///< instead of `name` in the member's own header
};

struct ZipBytes {
  std::string members, directory;
  std::size_t count = 0;

  void add(const ZipPart& part) {
    const std::string data = part.deflated ? deflate_stored(part.content) : part.content;
    const std::uint16_t method = part.method != 0xFFFF ? part.method : part.deflated ? 8 : 0;
    const std::string sizes =
        little_endian(crc32_of(part.content) ^ part.crc_change, 4) + little_endian(data.size(), 4) +
        little_endian(part.content.size() + static_cast<std::size_t>(part.size_change), 4);
    const std::string& local = part.local_name.empty() ? part.name : part.local_name;
    const std::string start = little_endian(part.flags, 2) + little_endian(method, 2) + little_endian(0, 4);
    directory += "PK\1\2" + little_endian(20, 2) + little_endian(20, 2) + start + sizes +
                 little_endian(part.name.size(), 2) + std::string(12, '\0') +
                 little_endian(members.size(), 4) + part.name;
    members += "PK\3\4" + little_endian(20, 2) + start + sizes + little_endian(local.size(), 2) +
               little_endian(0, 2) + local + data;
    ++count;
  }

  std::string end(const std::string& comment = "") const {
    return "PK\5\6" + little_endian(0, 4) + little_endian(count, 2) + little_endian(count, 2) +
           little_endian(directory.size(), 4) + little_endian(members.size(), 4) +
           little_endian(comment.size(), 2) + comment;
  }

  /// The same end as Zip64 writes it, and the plain one marked as too small.
  std::string end64() const {
    const std::uint64_t at = members.size() + directory.size();
    return "PK\6\6" + little_endian(44, 8) + little_endian(45, 2) + little_endian(45, 2) +
           little_endian(0, 8) + little_endian(count, 8) + little_endian(count, 8) +
           little_endian(directory.size(), 8) + little_endian(members.size(), 8) + "PK\6\7" +
           little_endian(0, 4) + little_endian(at, 8) + little_endian(1, 4) + "PK\5\6" + little_endian(0, 4) +
           std::string(12, '\xFF') + little_endian(0, 2);
  }
};

inline std::string zip_of(const std::vector<ZipPart>& parts) {
  ZipBytes zip;
  for (const ZipPart& part : parts) zip.add(part);
  return zip.members + zip.directory + zip.end();
}

}  // namespace fisherdiag::test
