// The bytes of a file, plain or gzip-compressed, read the same way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace fisherdiag::io {

/// Content of a file after decompression. Forward reads are fast; going back restarts a compressed stream.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Says how many bytes the content's own header promises; more or fewer are a FormatError. A plain file is
  /// checked at once, a compressed one when its last promised byte is read.
  virtual void declare_size(std::uint64_t bytes) = 0;

  /// Fills `out` with the content from `offset` on.
  /// Errors: FormatError where the content ends before or a compressed stream is damaged; IoError.
  virtual void read_at(std::uint64_t offset, std::span<std::byte> out) = 0;
};

/// Content whose size is known without reading it: a plain file, or a member of an archive.
class SizedStream : public ByteStream {
 public:
  virtual std::uint64_t size() const = 0;
  /// For messages.
  virtual const std::string& name() const = 0;
};

/// Opens `path` as it is, compressed or not.
std::unique_ptr<SizedStream> open_plain_stream(const std::filesystem::path& path);

/// Opens `path`; content starting with gzip's magic bytes 1f 8b is decompressed, whatever the file's name.
std::unique_ptr<ByteStream> open_byte_stream(const std::filesystem::path& path);

}  // namespace fisherdiag::io
