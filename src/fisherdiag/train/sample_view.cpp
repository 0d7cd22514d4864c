#include "fisherdiag/train/sample_view.hpp"

#include <algorithm>
#include <utility>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

void require_range(const Dataset& dataset, std::size_t first, std::size_t rows) {
  if (first > dataset.size() || rows > dataset.size() - first)
    throw ArgumentError(dataset.name() + ": asked for " + std::to_string(rows) + " samples from " +
                        std::to_string(first) + " on, there are " + std::to_string(dataset.size()));
}

class SampleView final : public Dataset {
 public:
  SampleView(std::shared_ptr<const TaskStream::Samples> samples, std::vector<std::uint32_t> rows,
             std::vector<std::uint32_t> features, std::vector<float> labels)
      : samples_(std::move(samples)),
        rows_(std::move(rows)),
        features_(std::move(features)),
        labels_(std::move(labels)) {}

  std::size_t size() const override { return rows_.size(); }
  std::size_t features() const override { return samples_->features; }
  TargetKind target_kind() const override {
    return samples_->width == 1 ? TargetKind::Labels : TargetKind::Values;
  }
  std::size_t target_width() const override { return samples_->width; }
  const std::string& name() const override { return samples_->name; }

  void read_inputs(std::size_t first, MatrixView<float> inputs) override {
    require_range(*this, first, inputs.rows);
    for (std::size_t r = 0; r < inputs.rows; ++r) {
      const float* from = samples_->inputs.data() + rows_[first + r] * samples_->features;
      float* to = inputs.row(r);
      if (features_.empty())
        std::copy_n(from, samples_->features, to);
      else
        for (std::size_t i = 0; i < features_.size(); ++i) to[i] = from[features_[i]];
    }
  }

  void read_targets(std::size_t first, MatrixView<float> targets) override {
    require_range(*this, first, targets.rows);
    for (std::size_t r = 0; r < targets.rows; ++r) {
      const std::size_t width = samples_->width;
      const float* labels = samples_->labels.data() + rows_[first + r] * width;
      if (labels_.empty())
        std::copy_n(labels, width, targets.row(r));
      else
        targets(r, 0) = labels_[static_cast<std::size_t>(*labels)];
    }
  }

 private:
  std::shared_ptr<const TaskStream::Samples> samples_;
  std::vector<std::uint32_t> rows_;
  std::vector<std::uint32_t> features_;
  std::vector<float> labels_;
};

class Concatenation final : public Dataset {
 public:
  explicit Concatenation(std::vector<Dataset*> parts) : parts_(std::move(parts)) {
    for (const Dataset* part : parts_) size_ += part->size();
  }

  std::size_t size() const override { return size_; }
  std::size_t features() const override { return parts_.front()->features(); }
  TargetKind target_kind() const override { return parts_.front()->target_kind(); }
  std::size_t target_width() const override { return parts_.front()->target_width(); }
  const std::string& name() const override { return parts_.front()->name(); }

  void read_inputs(std::size_t first, MatrixView<float> inputs) override {
    for_parts(first, inputs, [](Dataset& part, std::size_t begin, MatrixView<float> rows) {
      part.read_inputs(begin, rows);
    });
  }
  void read_targets(std::size_t first, MatrixView<float> targets) override {
    for_parts(first, targets, [](Dataset& part, std::size_t begin, MatrixView<float> rows) {
      part.read_targets(begin, rows);
    });
  }

 private:
  template <class Read>
  void for_parts(std::size_t first, MatrixView<float> out, const Read& read) {
    require_range(*this, first, out.rows);
    std::size_t done = 0, start = 0;
    for (Dataset* part : parts_) {
      const std::size_t at = first + done;
      if (done < out.rows && at < start + part->size()) {
        const std::size_t count = std::min(out.rows - done, start + part->size() - at);
        read(*part, at - start, {out.row(done), count, out.cols, out.stride});
        done += count;
      }
      start += part->size();
    }
  }

  std::vector<Dataset*> parts_;
  std::size_t size_ = 0;
};

}  // namespace

TaskStream::Samples TaskStream::Samples::take(const std::vector<std::uint32_t>& rows) const {
  Samples taken;
  taken.name = name;
  taken.features = features;
  taken.width = width;
  taken.inputs = AlignedBuffer<float>(rows.size() * features);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::copy_n(inputs.data() + rows[r] * features, features, taken.inputs.data() + r * features);
    const auto own = labels.begin() + static_cast<std::ptrdiff_t>(rows[r] * width);
    taken.labels.insert(taken.labels.end(), own, own + static_cast<std::ptrdiff_t>(width));
  }
  return taken;
}

std::unique_ptr<Dataset> make_view(std::shared_ptr<const TaskStream::Samples> samples,
                                   std::vector<std::uint32_t> rows, std::vector<std::uint32_t> features,
                                   std::vector<float> labels) {
  return std::make_unique<SampleView>(std::move(samples), std::move(rows), std::move(features),
                                      std::move(labels));
}

std::unique_ptr<Dataset> concatenate(std::vector<Dataset*> parts) {
  return std::make_unique<Concatenation>(std::move(parts));
}

}  // namespace fisherdiag
