// The header of a .npy file.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "fisherdiag/io/byte_stream.hpp"
#include "fisherdiag/io/element_type.hpp"

namespace fisherdiag::io {

/// The eight bytes every .npy file starts with are this magic, then the major and minor format version.
inline constexpr std::string_view kNpyMagic("\x93NUMPY", 6);

struct NpyHeader {
  ElementType type = ElementType::F32;
  std::endian order = std::endian::little;
  std::vector<std::size_t> shape;
  std::uint64_t data_offset = 0;
};

/// Reads and checks the header and that the content's size is exactly what it promises.
/// Format: NumPy's numpy/lib/format.py ("Format Version 1.0" to "3.0"). Errors: see NpyFile.
NpyHeader read_npy_header(SizedStream& file);

}  // namespace fisherdiag::io
