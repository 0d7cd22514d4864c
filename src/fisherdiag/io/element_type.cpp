#include "fisherdiag/io/element_type.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace fisherdiag::io {

namespace {

template <class Word>
Word byte_swapped(Word word) {
  if constexpr (sizeof(Word) == 2) return __builtin_bswap16(word);
  if constexpr (sizeof(Word) == 4) return __builtin_bswap32(word);
  if constexpr (sizeof(Word) == 8) return __builtin_bswap64(word);
  return word;
}

/// IEEE 754 binary16, all values including subnormals.
float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1Fu;
  const std::uint32_t fraction = half & 0x3FFu;
  constexpr std::uint32_t kBiasDifference = 127 - 15;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide = exponent == 0x1F ? 0xFFu : exponent + kBiasDifference;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

float bfloat_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

template <class Word, class Decode>
void convert(bool swap, const std::byte* bytes, std::span<float> out, Decode decode) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Word word;
    std::memcpy(&word, bytes + i * sizeof(Word), sizeof(Word));
    out[i] = decode(swap ? byte_swapped(word) : word);
  }
}

template <class Value, class Word>
float as(Word word) {
  return static_cast<float>(std::bit_cast<Value>(word));
}

}  // namespace

std::size_t element_size(ElementType type) {
  switch (type) {
    case ElementType::Bool:
    case ElementType::I8:
    case ElementType::U8:
      return 1;
    case ElementType::I16:
    case ElementType::U16:
    case ElementType::F16:
    case ElementType::BF16:
      return 2;
    case ElementType::I32:
    case ElementType::U32:
    case ElementType::F32:
      return 4;
    case ElementType::I64:
    case ElementType::U64:
    case ElementType::F64:
      return 8;
  }
  return 1;
}

bool is_integer(ElementType type) {
  return type < ElementType::F16;
}

void convert_to_float(ElementType type, std::endian order, std::span<const std::byte> bytes,
                      std::span<float> out) {
  const bool swap = order != std::endian::native;
  const std::byte* data = bytes.data();
  using U8 = std::uint8_t;
  using U16 = std::uint16_t;
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  switch (type) {
    case ElementType::Bool:
      return convert<U8>(false, data, out, [](U8 w) { return w != 0 ? 1.0f : 0.0f; });
    case ElementType::I8:
      return convert<U8>(false, data, out, as<std::int8_t, U8>);
    case ElementType::U8:
      return convert<U8>(false, data, out, as<U8, U8>);
    case ElementType::I16:
      return convert<U16>(swap, data, out, as<std::int16_t, U16>);
    case ElementType::U16:
      return convert<U16>(swap, data, out, as<U16, U16>);
    case ElementType::I32:
      return convert<U32>(swap, data, out, as<std::int32_t, U32>);
    case ElementType::U32:
      return convert<U32>(swap, data, out, as<U32, U32>);
    case ElementType::I64:
      return convert<U64>(swap, data, out, as<std::int64_t, U64>);
    case ElementType::U64:
      return convert<U64>(swap, data, out, as<U64, U64>);
    case ElementType::F16:
      return convert<U16>(swap, data, out, half_to_float);
    case ElementType::BF16:
      return convert<U16>(swap, data, out, bfloat_to_float);
    case ElementType::F32:
      return convert<U32>(swap, data, out, as<float, U32>);
    case ElementType::F64:
      return convert<U64>(swap, data, out, as<double, U64>);
  }
}

namespace {

template <class Source>
void read_converted(Source& source, std::uint64_t offset, ElementType type, std::endian order,
                    std::span<float> out) {
  if (type == ElementType::F32 && order == std::endian::native)
    return source.read_at(offset, std::as_writable_bytes(out));
  constexpr std::size_t kElementsPerRead = 32 * 1024;  // at most 256 KiB: stays in the second-level cache
  const std::size_t width = element_size(type);
  std::vector<std::byte> buffer(std::min(out.size(), kElementsPerRead) * width);
  while (!out.empty()) {
    const std::size_t count = std::min(out.size(), kElementsPerRead);
    const std::span<std::byte> bytes(buffer.data(), count * width);
    source.read_at(offset, bytes);
    convert_to_float(type, order, bytes, out.first(count));
    offset += bytes.size();
    out = out.subspan(count);
  }
}

}  // namespace

void read_as_float(const InputFile& file, std::uint64_t offset, ElementType type, std::endian order,
                   std::span<float> out) {
  read_converted(file, offset, type, order, out);
}

void read_as_float(ByteStream& stream, std::uint64_t offset, ElementType type, std::endian order,
                   std::span<float> out) {
  read_converted(stream, offset, type, order, out);
}

}  // namespace fisherdiag::io
