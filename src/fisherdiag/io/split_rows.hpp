// Rows spread over several files, seen as one.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fisherdiag/io/array_file.hpp"

namespace fisherdiag::io {

/// The files that the user's words mean, in the order they are read.
///
/// A path that exists is itself. Otherwise words are split at commas, each a path, `FILE.npz:NAME` or a
/// pattern with * ? [...] as the shell's, whose matches are sorted so that part-2 comes before part-10.
/// Errors: IoError for a pattern that matches nothing; ArgumentError for an empty piece of a list.
std::vector<ArrayWords> expand_words(const std::string& words);

/// a before b, runs of digits compared as numbers.
bool natural_less(std::string_view a, std::string_view b);

/// The files as one array of all their rows; a single file is just opened. Only one of several is kept open.
/// Errors: as open_array; DataError, naming the file, for one whose rows differ from the first file's in
/// width or kind, and while reading for one whose number of rows has changed.
ArrayFile open_arrays(const std::vector<ArrayWords>& files, ArrayRole role);

/// Where inputs and targets are split into as many files, each pair must have as many rows, or samples would
/// get the labels of others. Errors: DataError
/// naming the pair that differs.
void check_pairs(const RowSource& inputs, const RowSource& targets);

}  // namespace fisherdiag::io
