#include "fisherdiag/io/byte_stream.hpp"

#include <array>
#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/gzip.hpp"

namespace fisherdiag::io {

namespace {

class PlainStream final : public SizedStream {
 public:
  explicit PlainStream(InputFile file) : file_(std::move(file)) {}

  std::uint64_t size() const override { return file_.size(); }
  const std::string& name() const override { return file_.name(); }

  void declare_size(std::uint64_t bytes) override {
    if (file_.size() == bytes) return;
    throw FormatError(file_.name(),
                      std::string(file_.size() < bytes ? "is truncated" : "has trailing bytes") +
                          ": its header promises " + std::to_string(bytes) + " bytes, the file has " +
                          std::to_string(file_.size()));
  }

  void read_at(std::uint64_t offset, std::span<std::byte> out) override {
    if (offset > file_.size() || out.size() > file_.size() - offset)
      throw FormatError(file_.name(), "is truncated", file_.size());
    file_.read_at(offset, out);
  }

 private:
  InputFile file_;
};

}  // namespace

std::unique_ptr<SizedStream> open_plain_stream(const std::filesystem::path& path) {
  return std::make_unique<PlainStream>(InputFile(path));
}

std::unique_ptr<ByteStream> open_byte_stream(const std::filesystem::path& path) {
  InputFile file(path);
  if (is_gzip(file)) return std::make_unique<GzipStream>(std::move(file));
  return std::make_unique<PlainStream>(std::move(file));
}

}  // namespace fisherdiag::io
