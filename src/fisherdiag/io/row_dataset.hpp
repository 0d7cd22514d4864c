// A dataset made of a source of inputs and, if there is one, a source of targets.
#pragma once

#include <memory>
#include <string>

#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/io/row_source.hpp"

namespace fisherdiag::io {

/// The largest class index + 1 that a float holds exactly together with all below it.
inline constexpr float kLabelLimit = 0x1p24f;

/// Every value read is checked here, whatever it comes from: inputs and values must be finite, labels whole
/// numbers in [0, 2^24). Errors: see Dataset; the constructor throws DataError for no samples, no features,
/// or counts of inputs and targets that differ.
class RowDataset final : public Dataset {
 public:
  /// `targets` may be null, and must be for TargetKind::None only. Labels have width 1.
  RowDataset(std::string name, std::unique_ptr<RowSource> inputs, std::unique_ptr<RowSource> targets,
             TargetKind kind);

  std::size_t size() const override { return inputs_->rows(); }
  std::size_t features() const override { return inputs_->width(); }
  TargetKind target_kind() const override { return kind_; }
  std::size_t target_width() const override { return targets_ ? targets_->width() : 0; }
  const std::string& name() const override { return name_; }
  void read_inputs(std::size_t first, MatrixView<float> inputs) override;
  void read_targets(std::size_t first, MatrixView<float> targets) override;

 private:
  void check_range(const char* function, std::size_t first, const MatrixView<float>& out,
                   std::size_t width) const;

  std::string name_;
  std::unique_ptr<RowSource> inputs_;
  std::unique_ptr<RowSource> targets_;
  TargetKind kind_;
};

}  // namespace fisherdiag::io
