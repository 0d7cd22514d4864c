// Zip archives, as numpy.savez writes them: stored and deflated members.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fisherdiag/io/byte_stream.hpp"

namespace fisherdiag::io {

/// One member, as the central directory describes it.
struct ZipMember {
  std::string name;
  std::uint16_t method = 0;  ///< 0 stored, 8 deflated
  std::uint32_t crc32 = 0;
  std::uint64_t compressed_bytes = 0;
  std::uint64_t bytes = 0;
  std::uint64_t header_offset = 0;
};

/// A zip archive whose directory has been read and checked.
///
/// Format: PKWARE's APPNOTE.TXT 6.3, sections 4.3 and 4.5.3 (Zip64). Rejected with FormatError: a directory
/// that is truncated, damaged or not just before the archive's end, several disks, two members of one name,
/// members that overlap each other or the directory, and sizes that a member of its method cannot have.
class ZipArchive {
 public:
  explicit ZipArchive(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  /// In the order of their bytes.
  const std::vector<ZipMember>& members() const { return members_; }
  /// nullptr if there is none of that name.
  const ZipMember* find(const std::string& name) const;

  /// The content of a member, named "ARCHIVE:MEMBER" in messages. Its checksum is compared when it has been
  /// read to its end in order. Errors: FormatError for encryption, another method or a header that
  /// contradicts the directory; later for damage. IoError.
  std::unique_ptr<SizedStream> open(const ZipMember& member) const;

 private:
  std::filesystem::path path_;
  std::string name_;
  std::vector<ZipMember> members_;
};

}  // namespace fisherdiag::io
