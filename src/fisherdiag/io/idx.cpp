#include "fisherdiag/io/idx.hpp"

#include <array>
#include <span>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/checked.hpp"
#include "fisherdiag/io/runs.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::size_t kElementsPerRead = 64 * 1024;

std::size_t big_endian_32(const std::byte* bytes) {
  std::size_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::size_t>(bytes[i]);
  return value;
}

/// Checks the four magic bytes and returns the number of dimensions.
std::size_t dimensions_from_magic(const std::string& name, const std::array<std::byte, 4>& magic) {
  constexpr std::byte kUnsignedByte{0x08};
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0})
    throw FormatError(name, "has the wrong magic bytes: it is not an IDX file", 0);
  if (magic[2] != kUnsignedByte)
    throw FormatError(name,
                      "has IDX elements of type " + std::to_string(std::to_integer<int>(magic[2])) +
                          "; only unsigned bytes (type 8) are read",
                      2);
  if (magic[3] == std::byte{0}) throw FormatError(name, "is an IDX file without dimensions", 3);
  return std::to_integer<std::size_t>(magic[3]);
}

}  // namespace

IdxFile::IdxFile(const std::filesystem::path& path)
    : name_(path.string()), stream_(open_byte_stream(path)), buffer_(kElementsPerRead) {
  std::array<std::byte, 4> magic;
  stream_->read_at(0, magic);
  const std::size_t dimensions = dimensions_from_magic(name_, magic);

  std::vector<std::byte> sizes(dimensions * 4);
  stream_->read_at(magic.size(), sizes);
  for (std::size_t d = 0; d < dimensions; ++d) shape_.push_back(big_endian_32(sizes.data() + d * 4));
  data_offset_ = magic.size() + sizes.size();

  const auto elements = checked_product(std::span<const std::size_t>(shape_));
  if (!elements || *elements > UINT64_MAX - data_offset_)
    throw FormatError(name_, "has dimensions whose product overflows", magic.size());
  row_elements_ = *checked_product(std::span<const std::size_t>(shape_).subspan(1));
  stream_->declare_size(data_offset_ + *elements);
}

void IdxFile::read_rows(std::size_t first, MatrixView<float> out, float divisor) {
  const std::uint64_t start = data_offset_ + first * row_elements_;
  for_each_run(out, kElementsPerRead, [&](std::size_t offset, std::span<float> run) {
    stream_->read_at(start + offset, std::span(buffer_).first(run.size()));
    // A true division, as PyTorch's ToTensor does: a product with 1/255 would differ in the last bit.
    for (std::size_t i = 0; i < run.size(); ++i)
      run[i] = static_cast<float>(std::to_integer<std::uint8_t>(buffer_[i])) / divisor;
  });
}

}  // namespace fisherdiag::io
