#include "fisherdiag/io/synthetic.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/io/checked.hpp"
#include "fisherdiag/io/row_dataset.hpp"
#include "fisherdiag/io/synthetic_tokens.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::uint64_t kSeed = 0x464953484552;  // "FISHER"
constexpr double kMostBlend = 0.55;
constexpr float kNoiseWidth = 0.866f;  // of the uniform noise: its standard deviation is 1/4
constexpr float kThreshold = 0.25f;    // with this noise, about half of a sample's features end at zero

/// The class of a sample, the class blended in, how much of it, and the stream its noise comes from.
struct Draw {
  Draw(std::size_t sample, std::size_t classes) : stream(kSeed, random_stream::kSynthetic, sample) {
    label = stream.next_below(classes);
    other = classes > 1 ? (label + 1 + stream.next_below(classes - 1)) % classes : label;
    blend = static_cast<float>(kMostBlend * stream.next_uniform());
  }

  RandomStream stream;
  std::size_t label;
  std::size_t other;
  float blend;
};

std::vector<float> make_prototypes(const SyntheticShape& shape) {
  const auto total = checked_multiply(shape.features, shape.classes);
  if (!total || *total > std::vector<float>().max_size()) throw std::bad_alloc();
  std::vector<float> prototypes(*total);
  for (std::size_t c = 0; c < shape.classes; ++c) {
    RandomStream stream(kSeed, random_stream::kSyntheticClass, c);
    for (std::size_t i = 0; i < shape.features; ++i) {
      const std::uint32_t word = stream.next_u32();
      prototypes[c * shape.features + i] = (word & 1) ? static_cast<float>(word >> 8) * 0x1p-24f : 0.0f;
    }
  }
  return prototypes;
}

class SyntheticInputs final : public RowSource {
 public:
  SyntheticInputs(std::size_t samples, const SyntheticShape& shape, std::string name)
      : samples_(samples), shape_(shape), name_(std::move(name)), prototypes_(make_prototypes(shape)) {}

  std::size_t rows() const override { return samples_; }
  std::size_t width() const override { return shape_.features; }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t first, MatrixView<float> out) override {
    for (std::size_t r = 0; r < out.rows; ++r) {
      Draw draw(first + r, shape_.classes);
      const float* own = prototypes_.data() + draw.label * shape_.features;
      const float* other = prototypes_.data() + draw.other * shape_.features;
      fill(draw, own, other, out.row(r));
    }
  }

 private:
  /// One byte of noise per feature: a random word serves four, and generating keeps up with reading a file.
  void fill(Draw& draw, const float* own, const float* other, float* row) const {
    constexpr float kOffset = kNoiseWidth / 2 + kThreshold;
    std::array<std::uint8_t, 256> noise;
    for (std::size_t start = 0; start < shape_.features; start += noise.size()) {
      const std::size_t count = std::min(noise.size(), shape_.features - start);
      for (std::size_t i = 0; i < count; i += 4) {
        const std::uint32_t word = draw.stream.next_u32();
        for (std::size_t k = 0; k < 4; ++k) noise[i + k] = static_cast<std::uint8_t>(word >> (8 * k));
      }
      for (std::size_t i = 0; i < count; ++i) {
        const float blended = (1.0f - draw.blend) * own[start + i] + draw.blend * other[start + i];
        const float value = blended + static_cast<float>(noise[i]) * (kNoiseWidth / 255.0f) - kOffset;
        const float positive = value > 0.0f ? value : 0.0f;
        row[start + i] = positive < 1.0f ? positive : 1.0f;
      }
    }
  }

  std::size_t samples_;
  SyntheticShape shape_;
  std::string name_;
  std::vector<float> prototypes_;
};

class SyntheticLabels final : public RowSource {
 public:
  SyntheticLabels(std::size_t samples, std::size_t classes, std::string name)
      : samples_(samples), classes_(classes), name_(std::move(name)) {}

  std::size_t rows() const override { return samples_; }
  std::size_t width() const override { return 1; }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t first, MatrixView<float> out) override {
    for (std::size_t r = 0; r < out.rows; ++r)
      out(r, 0) = static_cast<float>(Draw(first + r, classes_).label);
  }

 private:
  std::size_t samples_;
  std::size_t classes_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Dataset> make_synthetic(std::size_t samples, const SyntheticShape& shape, std::string name) {
  if (shape.features == 0 || shape.classes == 0)
    throw ArgumentError(name +
                        ": synthetic data needs a model with at least one input feature and one class");
  if (samples == 0) throw DataError(name + ": holds no samples");
  if (shape.tokens || shape.positions > 1) return make_synthetic_tokens(samples, shape, std::move(name));
  auto inputs = std::make_unique<SyntheticInputs>(samples, shape, name);
  auto labels = std::make_unique<SyntheticLabels>(samples, shape.classes, name);
  return std::make_unique<RowDataset>(std::move(name), std::move(inputs), std::move(labels),
                                      TargetKind::Labels);
}

}  // namespace fisherdiag::io
