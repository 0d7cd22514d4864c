// The content of one member of a zip archive, and the fields of the archive's records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "fisherdiag/io/byte_stream.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/zip.hpp"

namespace fisherdiag::io {

inline constexpr std::uint16_t kStored = 0, kDeflated = 8;
inline constexpr std::size_t kLocalBytes = 30;  ///< of a member's own header, without name and extra fields

/// Little-endian numbers of a record; beyond its end they are 0, which no record's magic is.
class ZipFields {
 public:
  explicit ZipFields(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint16_t u16(std::size_t at) const { return static_cast<std::uint16_t>(number(at, 2)); }
  std::uint32_t u32(std::size_t at) const { return static_cast<std::uint32_t>(number(at, 4)); }
  std::uint64_t u64(std::size_t at) const { return number(at, 8); }

 private:
  std::uint64_t number(std::size_t at, std::size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) return 0;
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes_[at + i]);
    return value;
  }

  std::span<const std::byte> bytes_;
};

/// See ZipArchive::open.
std::unique_ptr<SizedStream> open_zip_member(InputFile file, const ZipMember& member);

}  // namespace fisherdiag::io
