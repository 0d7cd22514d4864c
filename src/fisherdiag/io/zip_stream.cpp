#include "fisherdiag/io/zip_stream.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/quoted_name.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr std::size_t kMostPerCall = std::size_t{1} << 30;  // zlib counts in 32 bits

/// What both kinds of member have: a place in the file, a promised size, and a checksum that follows the
/// bytes as long as they are read in order.
class MemberStream : public SizedStream {
 public:
  MemberStream(InputFile file, const ZipMember& member, std::uint64_t data_offset)
      : file_(std::move(file)),
        member_(member),
        data_offset_(data_offset),
        name_(file_.name() + ":" + member.name) {}

  std::uint64_t size() const override { return member_.bytes; }
  const std::string& name() const override { return name_; }

  void declare_size(std::uint64_t bytes) override {
    if (bytes != size())
      throw FormatError(name_, std::string(size() < bytes ? "is truncated" : "has trailing bytes") +
                                   ": its header promises " + std::to_string(bytes) +
                                   " bytes, the archive holds " + std::to_string(size()));
  }

  void read_at(std::uint64_t offset, std::span<std::byte> out) final {
    if (offset > size() || out.size() > size() - offset)
      throw FormatError(name_, "is truncated: it has " + std::to_string(size()) + " bytes");
    while (!out.empty()) {
      const std::span<std::byte> part = out.first(std::min(out.size(), kMostPerCall));
      read_part(offset, part);
      offset += part.size();
      out = out.subspan(part.size());
    }
  }

 protected:
  virtual void read_part(std::uint64_t offset, std::span<std::byte> out) = 0;

  /// Takes note of content read: `bytes` from `offset` on.
  void add_to_checksum(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (offset > summed_ || offset + bytes.size() <= summed_) return;
    const std::span<const std::byte> fresh = bytes.subspan(summed_ - offset);
    sum_ = crc32(sum_, reinterpret_cast<const Bytef*>(fresh.data()), static_cast<uInt>(fresh.size()));
    summed_ += fresh.size();
    if (summed_ == size() && sum_ != member_.crc32)
      throw FormatError(name_, "is damaged: its checksum is not the one the archive's directory has");
  }

  InputFile file_;
  ZipMember member_;
  std::uint64_t data_offset_;
  std::string name_;

 private:
  std::uint64_t summed_ = 0;
  uLong sum_ = 0;
};

class StoredStream final : public MemberStream {
 public:
  using MemberStream::MemberStream;

 protected:
  void read_part(std::uint64_t offset, std::span<std::byte> out) override {
    file_.read_at(data_offset_ + offset, out);
    add_to_checksum(offset, out);
  }
};

class DeflatedStream final : public MemberStream {
 public:
  DeflatedStream(InputFile file, const ZipMember& member, std::uint64_t data_offset)
      : MemberStream(std::move(file), member, data_offset),
        input_(std::min<std::uint64_t>(kBufferBytes, member.compressed_bytes)) {
    constexpr int kRawDeflate = -MAX_WBITS;
    if (inflateInit2(&stream_, kRawDeflate) != Z_OK) throw std::bad_alloc();
  }
  ~DeflatedStream() override { inflateEnd(&stream_); }
  DeflatedStream(const DeflatedStream&) = delete;
  DeflatedStream& operator=(const DeflatedStream&) = delete;

 protected:
  void read_part(std::uint64_t offset, std::span<std::byte> out) override {
    if (offset < position_) restart();
    std::vector<std::byte> skipped(
        offset > position_ ? std::min<std::uint64_t>(kBufferBytes, offset - position_) : 0);
    while (position_ < offset)
      inflate_all(std::span(skipped).first(std::min<std::uint64_t>(skipped.size(), offset - position_)));
    inflate_all(out);
    if (position_ == size()) require_end();
  }

 private:
  void restart() {
    inflateReset(&stream_);
    stream_.avail_in = 0;
    taken_ = position_ = 0;
  }

  void inflate_all(std::span<std::byte> out) {
    const std::uint64_t start = position_;
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    while (stream_.avail_out > 0)
      if (step()) throw FormatError(name_, "is truncated: its compressed content ends too early");
    position_ += out.size();
    add_to_checksum(start, out);
  }

  /// Decompresses once; true at the end of the compressed content.
  bool step() {
    if (stream_.avail_in == 0) refill();
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_STREAM_END) return stream_.avail_out > 0;
    if (status != Z_OK && status != Z_BUF_ERROR)
      throw FormatError(name_, std::string("is damaged: its compressed content has ") +
                                   (stream_.msg ? stream_.msg : "a preset dictionary"));
    if (stream_.avail_in == 0 && taken_ == member_.compressed_bytes && stream_.avail_out > 0)
      throw FormatError(name_, "is truncated: its compressed content has no end");
    return false;
  }

  void refill() {
    const std::uint64_t left = member_.compressed_bytes - taken_;
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(left, input_.size()));
    file_.read_at(data_offset_ + taken_, std::span(input_).first(count));
    taken_ += count;
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(count);
  }

  /// After the last promised byte the compressed content must end, and the member with it.
  void require_end() {
    std::array<std::byte, 1> extra;
    stream_.next_out = reinterpret_cast<Bytef*>(extra.data());
    stream_.avail_out = 1;
    while (stream_.avail_out > 0 && !step()) {
    }
    if (stream_.avail_out == 0)
      throw FormatError(name_, "has trailing bytes: its content is longer than the archive's directory says");
    if (stream_.avail_in != 0 || taken_ != member_.compressed_bytes)
      throw FormatError(name_, "has trailing bytes after its compressed content");
  }

  z_stream stream_{};
  std::vector<std::byte> input_;
  std::uint64_t taken_ = 0;     ///< compressed bytes fetched
  std::uint64_t position_ = 0;  ///< content delivered
};

}  // namespace

std::unique_ptr<SizedStream> open_zip_member(InputFile file, const ZipMember& member) {
  constexpr std::uint32_t kLocalMagic = 0x04034B50;
  std::array<std::byte, kLocalBytes> bytes;
  file.read_at(member.header_offset, bytes);
  const ZipFields header{bytes};
  std::string name(header.u16(26), '\0');
  const std::uint64_t name_offset = member.header_offset + kLocalBytes;
  const std::uint64_t data_offset = name_offset + name.size() + header.u16(28);
  const bool inside = data_offset <= file.size() && member.compressed_bytes <= file.size() - data_offset;
  if (inside) file.read_at(name_offset, std::as_writable_bytes(std::span(name)));
  if (!inside || header.u32(0) != kLocalMagic || header.u16(8) != member.method || name != member.name)
    throw FormatError(file.name(),
                      "is damaged: the header of its member " + quoted_name(member.name) +
                          " is not what the directory says",
                      member.header_offset);
  if (member.method == kStored) return std::make_unique<StoredStream>(std::move(file), member, data_offset);
  return std::make_unique<DeflatedStream>(std::move(file), member, data_offset);
}

}  // namespace fisherdiag::io
