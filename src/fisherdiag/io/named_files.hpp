// Where the files of Fashion-MNIST and MNIST are.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace fisherdiag::io {

/// A data set known by name, and one of its two halves.
struct DatasetName {
  std::string set;    ///< "fashion-mnist" or "mnist"
  std::string split;  ///< "train" or "test"
};

/// Parses "fashion-mnist:train" and the like; nullopt if `text` does not begin with the name of a known set.
/// Errors: ArgumentError for a known set with a missing or unknown split.
std::optional<DatasetName> parse_dataset_name(std::string_view text);

struct DatasetFiles {
  std::filesystem::path images;
  std::filesystem::path labels;
};

/// Looks for the set's files, plain or .gz, in the Debian package's folder (Fashion-MNIST only), in
/// $FISHERDIAG_DATA/SET and in data/SET, and takes the first folder that has both files of the split.
/// Errors: IoError naming the folders searched and the script that fetches the files.
DatasetFiles find_dataset_files(const DatasetName& name);

}  // namespace fisherdiag::io
