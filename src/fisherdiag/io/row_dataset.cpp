#include "fisherdiag/io/row_dataset.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag::io {

namespace {

bool all_finite(const float* values, std::size_t count) {
  constexpr std::uint32_t kExponent = 0x7F800000u;
  std::uint32_t found = 0;  // no early exit: this form vectorises
  for (std::size_t i = 0; i < count; ++i)
    found |= (std::bit_cast<std::uint32_t>(values[i]) & kExponent) == kExponent ? 1u : 0u;
  return found == 0;
}

/// `what` names a column: "feature" or "target value".
void require_finite(const std::string& source, const char* what, std::size_t first,
                    const MatrixView<float>& block) {
  for (std::size_t r = 0; r < block.rows; ++r) {
    if (all_finite(block.row(r), block.cols)) continue;
    std::size_t c = 0;
    while (std::isfinite(block(r, c))) ++c;
    throw DataError(source + ": " + what + " " + std::to_string(c) + " of sample " +
                    std::to_string(first + r) + " is " +
                    (std::isnan(block(r, c)) ? "NaN" : "infinite or too large for a float"));
  }
}

void require_labels(const std::string& source, std::size_t first, const MatrixView<float>& labels) {
  for (std::size_t r = 0; r < labels.rows; ++r) {
    const float label = labels(r, 0);
    if (label >= 0 && label < kLabelLimit && label == std::floor(label)) continue;
    throw DataError(source + ": the label of sample " + std::to_string(first + r) + " is " +
                    std::to_string(label) + ", not a whole number from 0 to 16777215");
  }
}

}  // namespace

RowDataset::RowDataset(std::string name, std::unique_ptr<RowSource> inputs,
                       std::unique_ptr<RowSource> targets, TargetKind kind)
    : name_(std::move(name)), inputs_(std::move(inputs)), targets_(std::move(targets)), kind_(kind) {
  if (inputs_->rows() == 0) throw DataError(inputs_->name() + ": holds no samples");
  if (inputs_->width() == 0) throw DataError(inputs_->name() + ": its samples have no features");
  if (!targets_) return;
  if (targets_->rows() != inputs_->rows())
    throw DataError(targets_->name() + ": holds " + std::to_string(targets_->rows()) + " targets, but " +
                    inputs_->name() + " holds " + std::to_string(inputs_->rows()) + " samples");
  if (targets_->width() == 0) throw DataError(targets_->name() + ": its targets have no values");
}

void RowDataset::check_range(const char* function, std::size_t first, const MatrixView<float>& out,
                             std::size_t width) const {
  const std::string where = std::string("[Dataset::") + function + "] " + name_ + ": ";
  if (out.cols != width)
    throw ArgumentError(where + "asked for " + std::to_string(out.cols) + " columns, there are " +
                        std::to_string(width));
  if (first > size() || out.rows > size() - first)
    throw ArgumentError(where + "asked for " + std::to_string(out.rows) + " samples from " +
                        std::to_string(first) + " on, there are " + std::to_string(size()));
}

void RowDataset::read_inputs(std::size_t first, MatrixView<float> inputs) {
  check_range("read_inputs", first, inputs, features());
  inputs_->read_rows(first, inputs);
  require_finite(inputs_->name(), "feature", first, inputs);
}

void RowDataset::read_targets(std::size_t first, MatrixView<float> targets) {
  check_range("read_targets", first, targets, target_width());
  if (!targets_) return;
  targets_->read_rows(first, targets);
  if (kind_ == TargetKind::Labels) {
    require_labels(targets_->name(), first, targets);
  } else {
    require_finite(targets_->name(), "target value", first, targets);
  }
}

}  // namespace fisherdiag::io
