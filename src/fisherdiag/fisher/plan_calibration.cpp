#include "fisherdiag/fisher/plan_calibration.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/sample_scores.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace {

constexpr double kRunSeconds = 0.7;          // one calibration pass aims at this
constexpr double kLongestRunSeconds = 2.0;   // a large model's may take so long: its blocks are measured whole
constexpr double kCalibrationSeconds = 1.0;  // no further pass is begun after
constexpr std::size_t kMostRuns = 5;
constexpr std::size_t kMostBlocks = 48;
constexpr std::size_t kKeptRows = 2048;
/// Share of the multiply-add peak expected before anything is known; a wrong guess changes the calibration's
/// length.
constexpr double kExpectedPeak = 0.7;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The first rows of another dataset over and over, with targets of zero, which every likelihood takes. Knows
/// when it was last read.
class RepeatedRows final : public Dataset {
 public:
  RepeatedRows(Dataset& source, std::size_t size, TargetKind kind, std::size_t target_width)
      : size_(size),
        kind_(kind),
        target_width_(target_width),
        features_(source.features()),
        kept_(std::min({kKeptRows, source.size(), size})),
        rows_(kept_ * features_) {
    source.read_inputs(0, {rows_.data(), kept_, features_});
  }

  std::size_t size() const override { return size_; }
  std::size_t features() const override { return features_; }
  TargetKind target_kind() const override { return kind_; }
  std::size_t target_width() const override { return target_width_; }
  const std::string& name() const override { return name_; }
  void read_inputs(std::size_t first, MatrixView<float> inputs) override {
    for (std::size_t r = 0; r < inputs.rows; ++r)
      std::copy_n(rows_.data() + (first + r) % kept_ * features_, features_, inputs.row(r));
    read_at_ = now();
  }
  void read_targets(std::size_t, MatrixView<float> targets) override {
    for (std::size_t r = 0; r < targets.rows; ++r) std::fill_n(targets.row(r), targets.cols, 0.0f);
    read_at_ = now();
  }
  double read_at() const { return read_at_; }

 private:
  std::size_t size_;
  TargetKind kind_;
  std::size_t target_width_, features_, kept_;
  AlignedBuffer<float> rows_;
  std::string name_ = "calibration";
  double read_at_ = 0;
};

/// flop/s of one thread, from about 5 ms.
double quick_peak(const kernels::KernelTable& kernels) {
  for (std::size_t iterations = 4096;; iterations *= 4) {
    const double start = now(), flops = kernels.multiply_add_probe(iterations), seconds = now() - start;
    if (seconds > 2e-3) return flops / seconds;
  }
}

struct CalibrationSize {
  std::size_t block_rows, blocks;
};

/// Blocks that take kRunSeconds by a guess of the model's speed: at least two, so that one is warm. Smaller
/// blocks than the pass's touch F more often for a row, so only those too slow to measure are cut.
CalibrationSize choose_size(const Architecture& architecture, const FisherOptions& options,
                            std::size_t block_rows, const Context& context) {
  const double speed = kExpectedPeak * quick_peak(kernels::kernel_table(context.isa())) * context.threads();
  const double row_seconds =
      fisher_flops_per_sample(architecture, options.estimator, options.likelihood) / speed;
  const auto affordable = static_cast<std::size_t>(kRunSeconds / row_seconds);
  const auto most = static_cast<std::size_t>(kLongestRunSeconds / row_seconds);
  const std::size_t chain = pass_chain_rows(architecture, options, context);
  std::size_t rows = block_rows;
  while (rows > chain && 2 * rows > most) rows = std::max<std::size_t>(rows / 2 / chain, 1) * chain;
  return {rows, std::clamp<std::size_t>(affordable / rows, 2, kMostBlocks)};
}

double score_row_seconds(const Network& network, RepeatedRows& data, const FisherOptions& options,
                         std::size_t block_rows, const Context& context) {
  std::vector<double> blocks;
  ScoreOptions own;
  own.estimator = options.estimator;
  own.likelihood = options.likelihood;
  own.block_rows = block_rows;
  own.progress = [&](std::size_t) {
    blocks.push_back(now() - data.read_at());
    return true;
  };
  double reading_seconds = 0;
  score_samples(network, data, own, context, reading_seconds);
  return median(std::move(blocks)) / static_cast<double>(block_rows);
}

}  // namespace

PassTimes calibrate_pass(const Network& network, Dataset& rows, const FisherOptions& options,
                         std::size_t block_rows, const Context& context) {
  const double start = now();
  const Architecture& architecture = network.architecture();
  const std::size_t positions = architecture.positions();
  const bool labels = options.likelihood == Likelihood::Categorical && positions == 1;
  const CalibrationSize size = choose_size(architecture, options, block_rows, context);
  RepeatedRows data(rows, size.block_rows * size.blocks, labels ? TargetKind::Labels : TargetKind::Values,
                    target_width(options.likelihood, architecture.outputs(), positions));
  FisherOptions own;
  own.estimator = options.estimator;
  own.likelihood = options.likelihood;
  own.precision = options.precision;
  own.force = options.force;
  own.read_ahead = false;  // the clock starts where a block has been read
  own.max_memory_bytes = fisher_memory(architecture, own, data.size(), size.block_rows, context);

  PassTimes times;
  std::vector<double> row_seconds;  // of each run: the mean over its later blocks, disturbances included
  do {
    std::size_t first_rows = 0, rows_done = 0;
    double first = 0, later = 0;
    own.progress = [&](std::size_t done, std::size_t) {
      if (done == rows_done) return true;  // nothing is read yet
      const double block = now() - data.read_at();
      (rows_done == 0 ? first : later) += block;
      if (rows_done == 0) first_rows = done;
      rows_done = done;
      return true;
    };
    FisherStatistics statistics;
    compute_fisher(network, data, own, context, &statistics);
    const bool one_block = rows_done == first_rows;
    row_seconds.push_back(one_block ? first / static_cast<double>(first_rows)
                                    : later / static_cast<double>(rows_done - first_rows));
    if (row_seconds.size() > 1) continue;
    // Only the first run starts threads and touches memory for the first time, as the real pass does.
    times.fixed_seconds = std::max(statistics.seconds - first - later, 0.0);
    times.first_block_seconds = std::max(first - row_seconds.front() * static_cast<double>(first_rows), 0.0);
  } while (row_seconds.size() < kMostRuns && now() - start < kCalibrationSeconds);
  times.row_seconds = median(row_seconds);
  if (options.subset.kind == SubsetKind::Importance)
    times.score_row_seconds = score_row_seconds(network, data, options, size.block_rows, context);
  times.seconds = now() - start;
  return times;
}

Architecture narrow(const Architecture& architecture, std::size_t parameters) {
  const double factor =
      std::sqrt(static_cast<double>(parameters) / static_cast<double>(architecture.parameter_count()));
  const auto scaled = [&](std::size_t width) {
    return std::max<std::size_t>(static_cast<std::size_t>(std::lround(factor * static_cast<double>(width))),
                                 1);
  };
  std::vector<LinearLayer> layers = architecture.layers();
  for (LinearLayer& layer : layers) {
    layer.inputs = scaled(layer.inputs);
    if (&layer != &layers.back()) layer.outputs = scaled(layer.outputs);
  }
  return Architecture(std::move(layers));
}

double calibrate_bandwidth(const Context& context) {
  constexpr std::size_t kLeast = std::size_t{16} << 20, kMost = std::size_t{128} << 20;
  constexpr int kSweeps = 4;
  const kernels::KernelTable& kernels = kernels::kernel_table(context.isa());
  const std::size_t bytes = std::clamp(2 * cache_sizes().last_level() / 3, kLeast, kMost);
  const auto tasks = 4 * static_cast<std::size_t>(context.threads());
  const std::size_t chunk = bytes / sizeof(float) / tasks;
  AlignedBuffer<float> x(chunk * tasks), y(chunk * tasks), z(chunk * tasks);
  std::vector<double> moved(tasks);
  double best = 0;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    const double start = now();
    context.parallel_for(tasks, [&](std::size_t task, std::size_t) {
      const std::size_t first = task * chunk;
      moved[task] = kernels.triad_probe(x.data() + first, y.data() + first, 0.5f, z.data() + first, chunk);
    });
    double sum = 0;
    for (const double task : moved) sum += task;
    best = std::max(best, sum / (now() - start));
  }
  return best;
}

}  // namespace fisherdiag
