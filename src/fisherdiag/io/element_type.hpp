// Element types of stored arrays and their conversion to float.
#pragma once

#include <bit>
#include <cstddef>
#include <span>

#include "fisherdiag/io/byte_stream.hpp"
#include "fisherdiag/io/file.hpp"

namespace fisherdiag::io {

enum class ElementType { Bool, I8, U8, I16, U16, I32, U32, I64, U64, F16, BF16, F32, F64 };

/// Bytes per element.
std::size_t element_size(ElementType type);

/// True for Bool and the integers.
bool is_integer(ElementType type);

/// out[i] = element i of `bytes`, rounded to float where it needs more than 24 bits; any non-zero Bool is 1.
/// bytes.size() must be out.size() * element_size(type).
void convert_to_float(ElementType type, std::endian order, std::span<const std::byte> bytes,
                      std::span<float> out);

/// Reads out.size() elements of `type` stored from byte `offset` of `file` on. Errors: IoError.
void read_as_float(const InputFile& file, std::uint64_t offset, ElementType type, std::endian order,
                   std::span<float> out);
/// The same of a stream's content. Errors: IoError, FormatError.
void read_as_float(ByteStream& stream, std::uint64_t offset, ElementType type, std::endian order,
                   std::span<float> out);

}  // namespace fisherdiag::io
