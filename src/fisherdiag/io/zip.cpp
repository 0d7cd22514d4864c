// The directory of a zip archive. The members' content: zip_stream.cpp.
#include "fisherdiag/io/zip.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/quoted_name.hpp"
#include "fisherdiag/io/zip_stream.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::uint32_t kDirectoryMagic = 0x02014B50, kEndMagic = 0x06054B50, kEnd64Magic = 0x06064B50,
                        kLocator64Magic = 0x07064B50;
constexpr std::size_t kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr std::size_t kMostCommentBytes = 65535;
/// No honest archive of arrays has more; bounds the memory that a directory can ask for.
constexpr std::uint64_t kMostDirectoryBytes = std::uint64_t{16} << 20;
constexpr std::uint16_t kEncrypted = 1;
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;  ///< the real figure is in the Zip64 field

/// Where the directory is and how many entries it has.
struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
};

std::vector<std::byte> read_bytes(const InputFile& file, std::uint64_t offset, std::size_t count) {
  std::vector<std::byte> bytes(count);
  file.read_at(offset, bytes);
  return bytes;
}

/// Offset of the end record: the last one whose comment ends with the file.
std::uint64_t find_end(const InputFile& file) {
  const std::uint64_t window = std::min<std::uint64_t>(file.size(), kEndBytes + kMostCommentBytes);
  const std::vector<std::byte> tail = read_bytes(file, file.size() - window, window);
  for (std::size_t at = tail.size() < kEndBytes ? 0 : tail.size() - kEndBytes + 1; at-- > 0;) {
    const ZipFields fields(std::span<const std::byte>(tail).subspan(at));
    if (fields.u32(0) == kEndMagic && at + kEndBytes + fields.u16(20) == tail.size())
      return file.size() - window + at;
  }
  throw FormatError(file.name(), "is truncated or no zip archive: it has no directory at its end");
}

/// The Zip64 end record, if its locator stands before the end record at `end`. `stop` becomes its offset.
std::optional<Directory> read_end_64(const InputFile& file, std::uint64_t end, std::uint64_t& stop) {
  if (end < kLocator64Bytes) return std::nullopt;
  const std::vector<std::byte> locator = read_bytes(file, end - kLocator64Bytes, kLocator64Bytes);
  const ZipFields where(locator);
  if (where.u32(0) != kLocator64Magic) return std::nullopt;
  const std::uint64_t offset = where.u64(8);
  if (offset > end - kLocator64Bytes || end - kLocator64Bytes - offset < kEnd64Bytes)
    throw FormatError(file.name(), "has a Zip64 directory end outside the file", end - kLocator64Bytes);
  const std::vector<std::byte> record = read_bytes(file, offset, kEnd64Bytes);
  const ZipFields fields(record);
  if (fields.u32(0) != kEnd64Magic)
    throw FormatError(file.name(), "has a damaged Zip64 directory end", offset);
  if (fields.u32(16) != 0 || fields.u32(20) != 0 || fields.u64(24) != fields.u64(32))
    throw FormatError(file.name(), "is one part of an archive of several", offset);
  stop = offset;
  return Directory{fields.u64(48), fields.u64(40), fields.u64(32)};
}

Directory find_directory(const InputFile& file) {
  const std::uint64_t end = find_end(file);
  const std::vector<std::byte> record = read_bytes(file, end, kEndBytes);
  const ZipFields fields(record);
  std::uint64_t stop = end;
  Directory directory{fields.u32(16), fields.u32(12), fields.u16(10)};
  if (const auto wide = read_end_64(file, end, stop)) {
    directory = *wide;
  } else if (fields.u16(4) != 0 || fields.u16(6) != 0 || fields.u16(8) != fields.u16(10)) {
    throw FormatError(file.name(), "is one part of an archive of several", end);
  }
  if (directory.bytes > stop || directory.offset != stop - directory.bytes)
    throw FormatError(file.name(),
                      "has a directory that is not just before its end: it is damaged, or something was put "
                      "before or after the archive",
                      end);
  if (directory.bytes > kMostDirectoryBytes || directory.entries > directory.bytes / kEntryBytes)
    throw FormatError(file.name(),
                      "has a directory of " + std::to_string(directory.entries) + " entries in " +
                          std::to_string(directory.bytes) + " bytes, which is damaged or too large",
                      end);
  return directory;
}

/// Takes the figures that the entry marks as too large for 32 bits from its Zip64 field, in their order.
void widen(const InputFile& file, std::span<const std::byte> extra, ZipMember& member) {
  std::uint64_t* const wanted[] = {&member.bytes, &member.compressed_bytes, &member.header_offset};
  if (std::none_of(std::begin(wanted), std::end(wanted), [](auto* w) { return *w == kIn64; })) return;
  while (extra.size() >= 4) {
    const std::size_t size = ZipFields(extra).u16(2);
    if (size > extra.size() - 4) break;
    if (ZipFields(extra).u16(0) == 1) {
      std::span<const std::byte> field = extra.subspan(4, size);
      for (std::uint64_t* const figure : wanted) {
        if (*figure != kIn64) continue;
        if (field.size() < 8) break;
        *figure = ZipFields(field).u64(0);
        field = field.subspan(8);
      }
      return;
    }
    extra = extra.subspan(4 + size);
  }
  throw FormatError(file.name(), "has a member " + quoted_name(member.name) + " without its Zip64 sizes");
}

void check_sizes(const InputFile& file, const ZipMember& member, std::uint16_t flags) {
  const std::string what = "has a member " + quoted_name(member.name);
  if (flags & kEncrypted) throw FormatError(file.name(), what + " that is encrypted");
  if (member.method != kStored && member.method != kDeflated)
    throw FormatError(file.name(), what + " compressed by method " + std::to_string(member.method) +
                                       "; stored and deflated ones are read");
  // Deflate cannot expand more than 1032 times (zlib's technical notes): more must not size a buffer.
  constexpr std::uint64_t kMostExpansion = 1032;
  const bool possible = member.method == kStored ? member.bytes == member.compressed_bytes
                                                 : member.bytes / kMostExpansion <= member.compressed_bytes;
  if (!possible)
    throw FormatError(file.name(), what + " of " + std::to_string(member.bytes) + " bytes in " +
                                       std::to_string(member.compressed_bytes) +
                                       ", which its compression cannot give");
}

std::vector<ZipMember> read_directory(const InputFile& file, const Directory& directory) {
  const std::vector<std::byte> bytes = read_bytes(file, directory.offset, directory.bytes);
  std::span<const std::byte> left = bytes;
  std::vector<ZipMember> members;
  std::unordered_set<std::string> names;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    const std::uint64_t offset = directory.offset + (bytes.size() - left.size());
    const ZipFields entry(left);
    if (left.size() < kEntryBytes || entry.u32(0) != kDirectoryMagic)
      throw FormatError(file.name(), "has a damaged directory", offset);
    const std::size_t name_bytes = entry.u16(28), extra_bytes = entry.u16(30), comment_bytes = entry.u16(32);
    if (name_bytes + extra_bytes + comment_bytes > left.size() - kEntryBytes)
      throw FormatError(file.name(), "has a damaged directory", offset);
    const auto* text = reinterpret_cast<const char*>(left.data() + kEntryBytes);
    ZipMember member{std::string(text, name_bytes),
                     entry.u16(10),
                     entry.u32(16),
                     entry.u32(20),
                     entry.u32(24),
                     entry.u32(42)};
    widen(file, left.subspan(kEntryBytes + name_bytes, extra_bytes), member);
    check_sizes(file, member, entry.u16(8));
    if (!names.insert(member.name).second)
      throw FormatError(file.name(), "has two members called " + quoted_name(member.name));
    members.push_back(std::move(member));
    left = left.subspan(kEntryBytes + name_bytes + extra_bytes + comment_bytes);
  }
  if (!left.empty())
    throw FormatError(file.name(), "has a directory longer than its entries", directory.offset);
  return members;
}

/// Sorts by offset and checks that members fit before each other and the directory.
void check_layout(const InputFile& file, std::vector<ZipMember>& members, std::uint64_t directory_offset) {
  std::stable_sort(members.begin(), members.end(),
                   [](const ZipMember& a, const ZipMember& b) { return a.header_offset < b.header_offset; });
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::uint64_t stop = i + 1 < members.size() ? members[i + 1].header_offset : directory_offset;
    const std::uint64_t begin = members[i].header_offset;
    if (begin > stop || stop - begin < kLocalBytes ||
        members[i].compressed_bytes > stop - begin - kLocalBytes)
      throw FormatError(file.name(), "has a member " + quoted_name(members[i].name) +
                                         " that overlaps what follows it, or is truncated");
  }
}

}  // namespace

ZipArchive::ZipArchive(const std::filesystem::path& path) : path_(path), name_(path.string()) {
  const InputFile file(path);
  const Directory directory = find_directory(file);
  members_ = read_directory(file, directory);
  check_layout(file, members_, directory.offset);
}

const ZipMember* ZipArchive::find(const std::string& name) const {
  for (const ZipMember& member : members_)
    if (member.name == name) return &member;
  return nullptr;
}

std::unique_ptr<SizedStream> ZipArchive::open(const ZipMember& member) const {
  return open_zip_member(InputFile(path_), member);
}

}  // namespace fisherdiag::io
