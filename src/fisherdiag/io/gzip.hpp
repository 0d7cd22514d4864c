// A gzip-compressed file, decompressed as it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "fisherdiag/io/byte_stream.hpp"
#include "fisherdiag/io/file.hpp"

namespace fisherdiag::io {

/// True if the file starts with gzip's magic bytes 1f 8b.
bool is_gzip(const InputFile& file);

/// Uses zlib's inflate rather than gzread, which reports a truncated file as a normal end. Several members in
/// one file are read as their concatenation (RFC 1952, section 2.2); anything else after a member is a
/// FormatError, as are a truncated stream, a wrong checksum and more content than declared. Memory does not
/// depend on the content: no more than the declared bytes are ever decompressed.
class GzipStream final : public ByteStream {
 public:
  explicit GzipStream(InputFile file);
  ~GzipStream() override;

  void declare_size(std::uint64_t bytes) override;
  void read_at(std::uint64_t offset, std::span<std::byte> out) override;

 private:
  struct Inflater;

  void restart();
  void skip_to(std::uint64_t offset);
  std::size_t inflate_some(std::span<std::byte> out);
  bool refill();
  bool next_member();
  void require_end();

  InputFile file_;
  std::unique_ptr<Inflater> inflater_;
  std::optional<std::uint64_t> declared_;
  std::uint64_t position_ = 0;  ///< decompressed bytes delivered so far
};

}  // namespace fisherdiag::io
