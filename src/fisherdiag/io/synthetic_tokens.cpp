#include "fisherdiag/io/synthetic_tokens.hpp"

#include <cstdint>
#include <utility>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/io/row_dataset.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::uint64_t kSeed = 0x544f4b454e53;  // "TOKENS"
constexpr std::size_t kLevels = 256;

/// One sequence, a token longer than its inputs.
struct Sequence {
  Sequence(std::size_t sample, const SyntheticShape& shape) {
    RandomStream stream(kSeed, random_stream::kSynthetic, sample);
    const std::size_t tokens = shape.tokens ? shape.tokens : kLevels;
    label = stream.next_below(shape.classes);
    std::size_t token = stream.next_below(tokens);
    for (std::size_t t = 0; t <= shape.features; ++t) {
      values.push_back(token);
      const bool ruled = stream.next_below(2) == 0;
      token = ruled ? (token * 3 + 7 * label + 1) % tokens : stream.next_below(tokens);
    }
  }

  std::size_t label = 0;
  std::vector<std::size_t> values;
};

class SequenceInputs final : public RowSource {
 public:
  SequenceInputs(std::size_t samples, const SyntheticShape& shape, std::string name)
      : samples_(samples), shape_(shape), name_(std::move(name)) {}

  std::size_t rows() const override { return samples_; }
  std::size_t width() const override { return shape_.features; }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t first, MatrixView<float> out) override {
    const float scale = shape_.tokens ? 1.0f : 1.0f / static_cast<float>(kLevels);
    for (std::size_t r = 0; r < out.rows; ++r) {
      const Sequence sequence(first + r, shape_);
      for (std::size_t t = 0; t < out.cols; ++t) out(r, t) = scale * static_cast<float>(sequence.values[t]);
    }
  }

 private:
  std::size_t samples_;
  SyntheticShape shape_;
  std::string name_;
};

class SequenceLabels final : public RowSource {
 public:
  SequenceLabels(std::size_t samples, const SyntheticShape& shape, std::string name)
      : samples_(samples), shape_(shape), name_(std::move(name)) {}

  std::size_t rows() const override { return samples_; }
  std::size_t width() const override { return shape_.positions; }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t first, MatrixView<float> out) override {
    const std::size_t step = shape_.features / shape_.positions;  // places of one position
    for (std::size_t r = 0; r < out.rows; ++r) {
      const Sequence sequence(first + r, shape_);
      if (shape_.positions == 1) out(r, 0) = static_cast<float>(sequence.label);
      for (std::size_t t = 0; shape_.positions > 1 && t < out.cols; ++t)
        out(r, t) = static_cast<float>(sequence.values[(t + 1) * step] % shape_.classes);
    }
  }

 private:
  std::size_t samples_;
  SyntheticShape shape_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Dataset> make_synthetic_tokens(std::size_t samples, const SyntheticShape& shape,
                                               std::string name) {
  auto inputs = std::make_unique<SequenceInputs>(samples, shape, name);
  auto labels = std::make_unique<SequenceLabels>(samples, shape, name);
  return std::make_unique<RowDataset>(std::move(name), std::move(inputs), std::move(labels),
                                      shape.positions > 1 ? TargetKind::Values : TargetKind::Labels);
}

}  // namespace fisherdiag::io
