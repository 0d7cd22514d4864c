// Comma-separated numbers, for small data.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

namespace fisherdiag::io {

struct CsvTable {
  std::vector<float> values;  ///< row after row
  std::size_t columns = 0;
};

/// Reads a whole file of numbers: one sample per line, values separated by commas, a point for the decimal
/// mark, blanks around numbers allowed, lines ended by LF or CRLF. A first line without any number in it is a
/// header and left out; so are blank lines at the end. NaN and infinities are read as such.
///
/// Errors: FormatError, naming line and column, for a cell that is no number (quoted ones too), lines of
/// different length, and a file over 256 MiB, for which .npy is the better form; IoError.
CsvTable read_csv(const std::filesystem::path& path);

}  // namespace fisherdiag::io
