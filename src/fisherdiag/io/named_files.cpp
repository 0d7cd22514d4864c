#include "fisherdiag/io/named_files.hpp"

#include <cstdlib>
#include <system_error>
#include <vector>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag::io {

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> folders_of(const std::string& set) {
  std::vector<fs::path> folders;
  if (set == "fashion-mnist")
    folders.emplace_back("/usr/share/datasets/fashion-mnist");  // dataset-fashion-mnist
  const char* root = std::getenv("FISHERDIAG_DATA");
  if (root && *root) folders.push_back(fs::path(root) / set);
  folders.push_back(fs::path("data") / set);
  return folders;
}

std::optional<fs::path> find_file(const fs::path& folder, const std::string& name) {
  std::error_code ignored;
  for (const std::string& candidate : {name, name + ".gz"})
    if (fs::exists(folder / candidate, ignored)) return folder / candidate;
  return std::nullopt;
}

}  // namespace

std::optional<DatasetName> parse_dataset_name(std::string_view text) {
  const std::string_view set = text.substr(0, text.find(':'));
  if (set != "fashion-mnist" && set != "mnist") return std::nullopt;
  const std::string_view split = set.size() < text.size() ? text.substr(set.size() + 1) : std::string_view();
  if (split != "train" && split != "test")
    throw ArgumentError("data '" + std::string(text) + "' is unknown; write " + std::string(set) +
                        ":train or " + std::string(set) + ":test");
  return DatasetName{std::string(set), std::string(split)};
}

DatasetFiles find_dataset_files(const DatasetName& name) {
  const std::string prefix = name.split == "train" ? "train" : "t10k";
  std::string searched;
  for (const fs::path& folder : folders_of(name.set)) {
    const auto images = find_file(folder, prefix + "-images-idx3-ubyte");
    const auto labels = find_file(folder, prefix + "-labels-idx1-ubyte");
    if (images && labels) return {*images, *labels};
    searched += (searched.empty() ? "" : ", ") + folder.string();
  }
  throw IoError(name.set + ":" + name.split + ": " + prefix + "-images-idx3-ubyte and " + prefix +
                "-labels-idx1-ubyte (plain or .gz) are in none of " + searched + "; scripts/fetch_data.sh " +
                name.set + " fetches them");
}

}  // namespace fisherdiag::io
