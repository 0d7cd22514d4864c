#include "fisherdiag/fisher/sample_scores.hpp"

#include <algorithm>
#include <chrono>
#include <memory>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/float_mode.hpp"
#include "fisherdiag/fisher/block_reader.hpp"
#include "fisherdiag/fisher/graph_scores.hpp"
#include "fisherdiag/fisher/request.hpp"
#include "fisherdiag/fisher/sample_scorer.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "fisherdiag/nn/graph_network.hpp"
#include "fisherdiag/nn/packed_network.hpp"
#include "fisherdiag/nn/skip_buffer.hpp"

namespace fisherdiag {

namespace {

using Clock = std::chrono::steady_clock;

/// Samples one task takes forward: as in a Fisher pass.
constexpr std::size_t kChunkRows = 128;

/// What one thread needs.
struct Worker {
  Worker(const Architecture& architecture, const ScoreOptions& options, const kernels::KernelTable& kernels,
         PassTrack* own_track)
      : seeds(scored(options.estimator), options.likelihood, architecture.outputs(), kernels),
        skip(architecture, kernels.lanes),
        logits(kChunkRows * architecture.outputs()),
        squares(kChunkRows * architecture.outputs()),
        track(own_track) {
    activations.emplace_back(kChunkRows, architecture.inputs(), kernels.lanes);
    for (const LinearLayer& layer : architecture.layers())
      activations.emplace_back(kChunkRows, layer.outputs, kernels.lanes);
  }

  std::vector<StripBuffer> activations;  // [0] the inputs, [l + 1] what layer l puts out
  SeedBlock seeds;
  SkipBuffer skip;
  AlignedBuffer<float> logits, squares;  // row-major [rows, C]
  PassTrack* track;
};

class ChainScorer final : public SampleScorer {
 public:
  ChainScorer(const Network& network, const ScoreOptions& options, const Context& context)
      : architecture_(network.architecture()), packed_(architecture_, context) {
    packed_.pack(network, context);
    for (int w = 0; w < context.threads(); ++w)
      workers_.push_back(std::make_unique<Worker>(
          architecture_, options, packed_.kernels(),
          options.profile ? &options.profile->track(static_cast<std::size_t>(w)) : nullptr));
  }

  std::size_t chunk_rows() const override { return kChunkRows; }

  void score(const BlockReader& block, std::size_t first, std::size_t count, std::size_t worker_index,
             float* norms, std::uint64_t* strata) override {
    Worker& worker = *workers_[worker_index];
    forward(block.inputs(), first, count, worker);
    const PassTimer timer(worker.track, PassPhase::Seeds);
    const std::size_t outputs = architecture_.outputs();
    const MatrixView<float> logits{worker.logits.data(), count, outputs};
    packed_.kernels().from_strips(worker.activations.back().rows(0, count), logits.data, outputs);
    MatrixView<const float> targets = block.targets();
    if (targets.rows) targets = {targets.row(first), count, targets.cols, targets.stride};
    worker.seeds.prepare(logits, targets, block.samples().subspan(first, count));
    const MatrixView<float> squares{worker.squares.data(), count, outputs};
    worker.seeds.write_squares(squares);
    const kernels::ConstStrips last = worker.activations[architecture_.layers().size() - 1].rows(0, count);
    for (std::size_t r = 0; r < count; ++r) {
      float sum = 0;
      for (std::size_t c = 0; c < outputs; ++c) sum += squares(r, c);
      norms[r] = sum * static_cast<float>(1 + row_squares(last, r, packed_.kernels().lanes));
      strata[r] = stratum(squares.row(r), outputs);
    }
  }

 private:
  void forward(MatrixView<const float> inputs, std::size_t first, std::size_t count, Worker& worker) {
    {
      const PassTimer timer(worker.track, PassPhase::Strips);
      packed_.kernels().to_strips(inputs.row(first), inputs.stride, worker.activations[0].rows(0, count), {});
    }
    for (std::size_t l = 0; l < architecture_.layers().size(); ++l) {
      const LinearLayer& layer = architecture_.layers()[l];
      const PassTimer timer(worker.track, PassPhase::Forward, l,
                            2.0 * static_cast<double>(layer.inputs * layer.outputs * count));
      packed_.forward(l, worker.activations[l].rows(0, count), worker.activations[l + 1].rows(0, count), {},
                      worker.skip.scratch());
    }
  }

  const Architecture& architecture_;
  PackedNetwork packed_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

std::unique_ptr<SampleScorer> make_scorer(const Network& network, const ScoreOptions& options,
                                          const Context& context) {
  if (network.architecture().graph()) return make_graph_scorer(network, options, context);
  return std::make_unique<ChainScorer>(network, options, context);
}

}  // namespace

double score_flops_per_sample(const Architecture& architecture) {
  double weights = 0;
  if (const Graph* graph = architecture.graph()) {
    for (std::size_t i = 0; i < graph->nodes().size(); ++i)
      weights += make_node_op(*graph, i)->flops().forward / 2;
  }
  for (const LinearLayer& layer : architecture.layers())
    weights += static_cast<double>(layer.inputs) * static_cast<double>(layer.outputs);
  return 2 * weights;
}

SampleScores score_samples(const Network& network, Dataset& data, const ScoreOptions& options,
                           const Context& context, double& reading_seconds) {
  const std::unique_ptr<SampleScorer> scorer = make_scorer(network, options, context);
  const std::size_t samples = data.size(), rows = std::min(options.block_rows, samples);
  BlockReader reader(data, {}, rows,
                     reads_targets(network.architecture(), data, options.estimator, options.likelihood));
  const std::size_t chunk_rows = scorer->chunk_rows();
  SampleScores scores{std::vector<float>(samples), std::vector<std::uint64_t>(samples)};
  for (std::size_t done = 0; done < samples;) {
    const std::size_t count = std::min(rows, samples - done);
    const Clock::time_point start = Clock::now();
    {
      const PassTimer timer(options.profile ? &options.profile->main_track() : nullptr, PassPhase::Read);
      reader.read(done, count);
    }
    reading_seconds += std::chrono::duration<double>(Clock::now() - start).count();
    {
      const PassRegionTimer region(options.profile, PassRegion::Rows);
      context.parallel_for((count + chunk_rows - 1) / chunk_rows, [&](std::size_t chunk, std::size_t worker) {
        const FlushDenormals flush;
        const std::size_t first = chunk * chunk_rows;
        scorer->score(reader, first, std::min(chunk_rows, count - first), worker,
                      scores.norms.data() + done + first, scores.strata.data() + done + first);
      });
    }
    done += count;
    if (options.progress && !options.progress(done)) throw InterruptedError("interrupted");
  }
  return scores;
}

}  // namespace fisherdiag
