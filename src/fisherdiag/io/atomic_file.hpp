// A file that appears whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace fisherdiag {

/// Writes to a unique temporary name beside `path`; commit() syncs it, renames it over `path` and syncs the
/// folder. What a killed writer of `path` left there is removed once it is ten minutes old. Without commit()
/// the destructor removes the temporary file. Every failure throws IoError and leaves `path` as it was. An
/// output that is not a regular file (/dev/stdout, a pipe) is written directly.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  void commit();

 private:
  void close_and_remove() noexcept;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Throws IoError now if `path` cannot be created later: its folder is missing or not writable, or `path` is
/// a folder. Lets a long job fail before it starts. Creates nothing.
void require_writable(const std::filesystem::path& path);

}  // namespace fisherdiag
