#include "fisherdiag/io/idx.hpp"

#include <array>
#include <bit>
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

ElementType element_type(const std::string& name, std::byte code) {
  switch (std::to_integer<int>(code)) {
    case 0x08:
      return ElementType::U8;
    case 0x09:
      return ElementType::I8;
    case 0x0B:
      return ElementType::I16;
    case 0x0C:
      return ElementType::I32;
    case 0x0D:
      return ElementType::F32;
    case 0x0E:
      return ElementType::F64;
    default:
      throw FormatError(name,
                        "has IDX elements of type " + std::to_string(std::to_integer<int>(code)) +
                            ", which the format does not have",
                        2);
  }
}

}  // namespace

IdxFile::IdxFile(const std::filesystem::path& path) : name_(path.string()), stream_(open_byte_stream(path)) {
  std::array<std::byte, 4> magic;
  stream_->read_at(0, magic);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0})
    throw FormatError(name_, "has the wrong magic bytes: it is not an IDX file", 0);
  type_ = element_type(name_, magic[2]);
  if (magic[3] == std::byte{0}) throw FormatError(name_, "is an IDX file without dimensions", 3);

  std::vector<std::byte> sizes(std::to_integer<std::size_t>(magic[3]) * 4);
  stream_->read_at(magic.size(), sizes);
  for (std::size_t d = 0; d < sizes.size(); d += 4) shape_.push_back(big_endian_32(sizes.data() + d));
  data_offset_ = magic.size() + sizes.size();

  const auto elements = checked_product(std::span<const std::size_t>(shape_));
  const auto bytes = elements ? checked_multiply(*elements, element_size(type_)) : std::nullopt;
  if (!bytes || *bytes > UINT64_MAX - data_offset_)
    throw FormatError(name_, "has dimensions whose product overflows", magic.size());
  row_elements_ = *checked_product(std::span<const std::size_t>(shape_).subspan(1));
  stream_->declare_size(data_offset_ + *bytes);
}

void IdxFile::read_rows(std::size_t first, MatrixView<float> out, float divisor) {
  const std::uint64_t width = element_size(type_), start = data_offset_ + first * row_elements_ * width;
  for_each_run(out, kElementsPerRead, [&](std::size_t offset, std::span<float> run) {
    read_as_float(*stream_, start + offset * width, type_, std::endian::big, run);
    // A true division, as PyTorch's ToTensor does: a product with 1/255 would differ in the last bit.
    if (divisor != 1.0f)
      for (float& value : run) value /= divisor;
  });
}

}  // namespace fisherdiag::io
