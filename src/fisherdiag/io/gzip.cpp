#include "fisherdiag/io/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::size_t kInputBytes = 128 * 1024;
constexpr std::size_t kSkipBytes = 64 * 1024;
constexpr std::size_t kMostPerCall = std::size_t{1} << 30;  // zlib counts in 32 bits
constexpr std::array<std::byte, 2> kMagic{std::byte{0x1F}, std::byte{0x8B}};

}  // namespace

struct GzipStream::Inflater {
  explicit Inflater(std::uint64_t file_bytes) : input(std::min<std::uint64_t>(kInputBytes, file_bytes)) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
  std::vector<std::byte> input;
  std::uint64_t file_offset = 0;  ///< of the next byte to fetch from the file
  bool ended = false;             ///< after the last member's checksum
};

bool is_gzip(const InputFile& file) {
  std::array<std::byte, 2> start;
  if (file.size() < start.size()) return false;
  file.read_at(0, start);
  return start == kMagic;
}

GzipStream::GzipStream(InputFile file)
    : file_(std::move(file)), inflater_(std::make_unique<Inflater>(file_.size())) {}
GzipStream::~GzipStream() = default;

void GzipStream::declare_size(std::uint64_t bytes) {
  // Deflate cannot expand more than 1032 times (zlib's technical notes); a promise beyond that is a lie that
  // must not size a buffer. Divided, not multiplied: no overflow.
  constexpr std::uint64_t kMostExpansion = 1032;
  if (bytes / kMostExpansion > file_.size())
    throw FormatError(file_.name(), "is truncated or damaged: its header promises " + std::to_string(bytes) +
                                        " bytes, more than " + std::to_string(file_.size()) +
                                        " compressed bytes can hold");
  declared_ = bytes;
  if (position_ == bytes) require_end();
}

void GzipStream::restart() {
  inflateReset(&inflater_->stream);
  inflater_->stream.avail_in = 0;
  inflater_->file_offset = 0;
  inflater_->ended = false;
  position_ = 0;
}

void GzipStream::read_at(std::uint64_t offset, std::span<std::byte> out) {
  if (out.empty()) return;
  if (offset < position_) restart();
  skip_to(offset);
  while (!out.empty()) {
    const std::size_t got = inflate_some(out);
    if (got == 0)
      throw FormatError(file_.name(), "is truncated: its decompressed content ends after " +
                                          std::to_string(position_) + " bytes" +
                                          (declared_ ? " of " + std::to_string(*declared_) : std::string()));
    out = out.subspan(got);
  }
  if (declared_ && position_ == *declared_) require_end();
}

void GzipStream::skip_to(std::uint64_t offset) {
  if (offset <= position_) return;
  std::vector<std::byte> skipped(std::min<std::uint64_t>(kSkipBytes, offset - position_));
  while (position_ < offset) {
    const std::uint64_t want = std::min<std::uint64_t>(skipped.size(), offset - position_);
    if (inflate_some(std::span(skipped).first(want)) == 0)
      throw FormatError(file_.name(), "is truncated: its decompressed content ends after " +
                                          std::to_string(position_) + " bytes");
  }
}

/// Decompresses at least one byte into `out` and returns how many; 0 only after the end of the last member.
std::size_t GzipStream::inflate_some(std::span<std::byte> out) {
  z_stream& stream = inflater_->stream;
  const auto room = static_cast<uInt>(std::min(out.size(), kMostPerCall));
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = room;
  while (stream.avail_out > 0 && !inflater_->ended) {
    if (stream.avail_in == 0 && !refill())
      throw FormatError(file_.name(), "is truncated: its compressed stream has no end", file_.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_STREAM_END) {
      inflater_->ended = !next_member();
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      throw FormatError(file_.name(),
                        std::string("is damaged: its compressed stream has ") +
                            (stream.msg ? stream.msg : "a preset dictionary"),
                        inflater_->file_offset - stream.avail_in);
    }
  }
  const std::size_t got = room - stream.avail_out;
  position_ += got;
  return got;
}

/// Fetches compressed bytes; false at the end of the file.
bool GzipStream::refill() {
  const std::uint64_t left = file_.size() - inflater_->file_offset;
  const std::size_t count = std::min<std::uint64_t>(left, inflater_->input.size());
  file_.read_at(inflater_->file_offset, std::span(inflater_->input).first(count));
  inflater_->file_offset += count;
  inflater_->stream.next_in = reinterpret_cast<Bytef*>(inflater_->input.data());
  inflater_->stream.avail_in = static_cast<uInt>(count);
  return count > 0;
}

/// After a member's end: false at the end of the file, true if another member starts.
bool GzipStream::next_member() {
  z_stream& stream = inflater_->stream;
  const std::uint64_t offset = inflater_->file_offset - stream.avail_in;
  const std::uint64_t left = file_.size() - offset;
  if (left == 0) return false;
  std::array<std::byte, 2> start{};
  if (left >= start.size()) file_.read_at(offset, start);
  if (start != kMagic)
    throw FormatError(file_.name(),
                      "has " + std::to_string(left) + " trailing bytes after its compressed stream", offset);
  inflateReset(&stream);
  return true;
}

/// Reads on to the last member's checksum, which must come without further content.
void GzipStream::require_end() {
  std::array<std::byte, 1> extra;
  if (inflate_some(extra) != 0)
    throw FormatError(file_.name(), "has trailing bytes: its decompressed content is longer than the " +
                                        std::to_string(*declared_) + " bytes its header promises");
}

}  // namespace fisherdiag::io
