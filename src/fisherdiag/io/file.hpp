// A regular file opened for reading at any offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace fisherdiag::io {

/// Read with pread, never mapped: a file that shrinks while it is read gives an error, not SIGBUS.
/// Errors: IoError naming the file and the system's reason; a folder, pipe or device is an IoError too.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  /// The path, for messages.
  const std::string& name() const { return name_; }
  /// Bytes at the time of opening.
  std::uint64_t size() const { return size_; }

  /// Fills `out` with the bytes from `offset` on; IoError if the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// "PATH: ACTION: REASON", the reason being the system's text for `error` (an errno value).
std::string system_message(const std::string& path, const std::string& action, int error);

}  // namespace fisherdiag::io
