// make_dataset and load_into_memory.
#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/checked.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/io/memory_rows.hpp"
#include "fisherdiag/io/row_dataset.hpp"

namespace fisherdiag {

namespace {

using io::MemoryRows;

/// Checks that `count` values make whole rows of `width`.
void require_rows(const std::string& name, const char* what, std::size_t count, std::size_t width) {
  if (width == 0 || count % width != 0)
    throw ArgumentError("[make_dataset] " + name + ": " + std::to_string(count) + " " + what +
                        " do not make rows of width " + std::to_string(width));
}

/// All rows of one side of `source`, through `read(first, block)`. Grows block by block, so that the memory
/// is written while it is in the cache.
template <class Read>
std::vector<float> collect(std::size_t rows, std::size_t width, const Read& read) {
  constexpr std::size_t kBlockElements = 256 * 1024;
  std::vector<float> values;
  const auto total = io::checked_multiply(rows, width);
  if (!total || *total > values.max_size()) throw std::bad_alloc();
  values.reserve(*total);
  const std::size_t block = std::max<std::size_t>(1, kBlockElements / std::max<std::size_t>(1, width));
  for (std::size_t first = 0; first < rows; first += block) {
    const std::size_t count = std::min(block, rows - first);
    values.resize((first + count) * width);
    read(first, MatrixView<float>(values.data() + first * width, count, width));
  }
  return values;
}

}  // namespace

std::unique_ptr<Dataset> make_dataset(std::vector<float> inputs, std::size_t features,
                                      std::vector<std::int32_t> labels, std::vector<float> values,
                                      std::size_t value_width, std::string name) {
  require_rows(name, "input values", inputs.size(), features);
  if (!labels.empty() && !values.empty())
    throw ArgumentError("[make_dataset] " + name + ": labels and values were both given");
  TargetKind kind = TargetKind::None;
  std::unique_ptr<io::RowSource> targets;
  if (!labels.empty()) {
    kind = TargetKind::Labels;
    std::vector<float> as_floats(labels.size());
    std::transform(labels.begin(), labels.end(), as_floats.begin(),
                   [](std::int32_t l) { return static_cast<float>(l); });
    targets = std::make_unique<MemoryRows>(name, std::move(as_floats), 1);
  } else if (!values.empty()) {
    kind = TargetKind::Values;
    require_rows(name, "target values", values.size(), value_width);
    targets = std::make_unique<MemoryRows>(name, std::move(values), value_width);
  }
  auto rows = std::make_unique<MemoryRows>(name, std::move(inputs), features);
  return std::make_unique<io::RowDataset>(std::move(name), std::move(rows), std::move(targets), kind);
}

std::unique_ptr<Dataset> load_into_memory(Dataset& source) {
  const auto read_inputs = [&](std::size_t first, MatrixView<float> block) {
    source.read_inputs(first, block);
  };
  const auto read_targets = [&](std::size_t first, MatrixView<float> block) {
    source.read_targets(first, block);
  };
  const std::size_t features = source.features(), width = source.target_width();
  auto inputs =
      std::make_unique<MemoryRows>(source.name(), collect(source.size(), features, read_inputs), features);
  std::unique_ptr<io::RowSource> targets;
  if (source.target_kind() != TargetKind::None)
    targets = std::make_unique<MemoryRows>(source.name(), collect(source.size(), width, read_targets), width);
  return std::make_unique<io::RowDataset>(source.name(), std::move(inputs), std::move(targets),
                                          source.target_kind());
}

}  // namespace fisherdiag
