#include <algorithm>
#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/likelihood/seed_source.hpp"

namespace fisherdiag::detail {

namespace {

/// empirical, batched: the residual at the data's target.
class AtTarget final : public SeedSource {
 public:
  void prepare(OutputModel& model, MatrixView<const float> targets,
               std::span<const std::uint64_t> samples) override {
    model.check_targets(targets, samples);
    width_ = model.target_width();
    grow(targets_, targets.rows * width_);
    for (std::size_t r = 0; r < targets.rows; ++r)
      std::copy_n(targets.row(r), width_, targets_.data() + r * width_);
  }
  void write(const OutputModel& model, std::size_t, MatrixView<float> seeds) const override {
    model.residuals({targets_.data(), seeds.rows, width_}, 1.0f, seeds);
  }

 private:
  std::size_t width_ = 0;
  AlignedBuffer<float> targets_;  // [rows, width]
};

/// predicted: the residual at the most probable target.
class AtMode final : public SeedSource {
 public:
  void prepare(OutputModel& model, MatrixView<const float>, std::span<const std::uint64_t> samples) override {
    width_ = model.target_width();
    grow(modes_, samples.size() * width_);
    model.modes({modes_.data(), samples.size(), width_});
  }
  void write(const OutputModel& model, std::size_t, MatrixView<float> seeds) const override {
    model.residuals({modes_.data(), seeds.rows, width_}, 1.0f, seeds);
  }

 private:
  std::size_t width_ = 0;
  AlignedBuffer<float> modes_;  // [rows, width]
};

/// mc: residuals at S targets drawn from the model, one stream per sample, its draws in order.
class AtDraws final : public SeedSource {
 public:
  AtDraws(const Estimator& estimator, std::size_t positions) : estimator_(estimator), positions_(positions) {}

  void prepare(OutputModel& model, MatrixView<const float>, std::span<const std::uint64_t> samples) override {
    width_ = model.target_width();
    const std::size_t plane = samples.size() * width_;
    grow(draws_, estimator_.draws * plane);
    for (std::size_t first = 0; first < samples.size(); first += positions_) {
      RandomStream random(estimator_.seed, random_stream::kMonteCarlo, samples[first]);
      for (std::size_t k = 0; k < estimator_.draws; ++k)
        for (std::size_t r = first; r < first + positions_; ++r)
          model.draw(r, random, draws_.data() + k * plane + r * width_);
    }
  }
  void write(const OutputModel& model, std::size_t k, MatrixView<float> seeds) const override {
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(estimator_.draws)));
    const std::size_t plane = seeds.rows * width_;
    model.drawn_residuals({draws_.data() + k * plane, seeds.rows, width_}, scale, seeds);
  }

 private:
  Estimator estimator_;
  std::size_t positions_, width_ = 0;
  AlignedBuffer<float> draws_;  // [S, rows, width]
};

/// exact: the columns of the factor.
class FactorColumns final : public SeedSource {
 public:
  void prepare(OutputModel& model, MatrixView<const float>, std::span<const std::uint64_t>) override {
    model.prepare_factor();
  }
  void write(const OutputModel& model, std::size_t k, MatrixView<float> seeds) const override {
    model.factor_column(k, seeds);
  }
  bool is_exact() const override { return true; }
};

/// sketch: the factor times random signs, one stream per sample, its draws in order; a draw takes whole
/// 32-bit words, the sign of column k from bit k % 32 of word k / 32.
class FactorTimesSigns final : public SeedSource {
 public:
  FactorTimesSigns(const Estimator& estimator, std::size_t positions)
      : estimator_(estimator), positions_(positions) {}

  void prepare(OutputModel& model, MatrixView<const float>, std::span<const std::uint64_t> samples) override {
    model.prepare_factor();
    words_ = (model.factor_columns() + 31) / 32;
    const std::size_t per_sample = estimator_.draws * words_;
    grow(signs_, samples.size() * per_sample);
    for (std::size_t first = 0; first < samples.size(); first += positions_) {
      RandomStream random(estimator_.seed, random_stream::kSketch, samples[first]);
      for (std::size_t k = 0; k < estimator_.draws; ++k)
        for (std::size_t r = first; r < first + positions_; ++r)
          for (std::size_t word = 0; word < words_; ++word)
            signs_[r * per_sample + k * words_ + word] = random.next_u32();
    }
  }
  void write(const OutputModel& model, std::size_t k, MatrixView<float> seeds) const override {
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(estimator_.draws)));
    for (std::size_t r = 0; r < seeds.rows; ++r)
      model.factor_times_signs(r, signs_.data() + (r * estimator_.draws + k) * words_, scale, seeds.row(r));
  }

 private:
  Estimator estimator_;
  std::size_t positions_, words_ = 0;
  AlignedBuffer<std::uint32_t> signs_;  // [rows, S, words]
};

}  // namespace

std::unique_ptr<SeedSource> make_seed_source(const Estimator& estimator, std::size_t positions) {
  switch (estimator.kind) {
    case EstimatorKind::Empirical:
    case EstimatorKind::Batched:
      return std::make_unique<AtTarget>();
    case EstimatorKind::Predicted:
      return std::make_unique<AtMode>();
    case EstimatorKind::MonteCarlo:
      return std::make_unique<AtDraws>(estimator, positions);
    case EstimatorKind::Exact:
      return std::make_unique<FactorColumns>();
    case EstimatorKind::Sketch:
      return std::make_unique<FactorTimesSigns>(estimator, positions);
  }
  throw ArgumentError("unknown estimator");
}

}  // namespace fisherdiag::detail
