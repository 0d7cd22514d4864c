// One file of samples or targets, whatever its format, as rows of floats.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "fisherdiag/io/row_source.hpp"

namespace fisherdiag::io {

/// What a file is read for: it decides which array of an archive is meant and how pixels are scaled.
enum class ArrayRole { Inputs, Targets };

/// A file as the user named it: part of a list, a match of a pattern, `FILE.npz:NAME`.
struct ArrayWords {
  std::filesystem::path path;
  std::string member;  ///< array of a .npz archive; empty: the one its role suggests
};

struct ArrayFile {
  std::unique_ptr<RowSource> rows;
  std::size_t dimensions = 0;
  bool integer = false;  ///< stored as integers
};

/// Opens `.npy`, `.npz`, IDX(.gz) by their first bytes and `.csv` by its name.
///
/// Inputs of IDX files of unsigned bytes are divided by 255. Of an archive with several arrays, inputs are
/// the array called x, else arr_0 (numpy.savez's first); targets y, else arr_1. CSV of one column has one
/// dimension. Errors: FormatError, IoError; DataError for an array an archive lacks.
ArrayFile open_array(const ArrayWords& words, ArrayRole role);

/// True if `path` is an archive with an array that open_array would take as targets beside its inputs.
bool brings_targets(const ArrayWords& words);

}  // namespace fisherdiag::io
