#include "fisherdiag/fisher/graph_scores.hpp"

#include <algorithm>
#include <vector>

#include "fisherdiag/fisher/graph_layout.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"
#include "fisherdiag/nn/graph_network.hpp"
#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

namespace {

/// What one thread needs for a chunk of samples.
struct Worker {
  Worker(const GraphNetwork& network, std::size_t chunk, const Estimator& estimator, Likelihood likelihood,
         PassTrack* own_track)
      : seeds(estimator, likelihood, network.graph().output().features, network.graph().output().positions(),
              network.kernels()),
        scratch(network.scratch_floats(), network.kernels().lanes),
        logits(chunk * network.graph().output().size()),
        squares(chunk * network.graph().output().size()),
        totals(network.graph().output().features),
        track(own_track) {
    const Graph& graph = network.graph();
    for (std::size_t v = 0; v <= graph.nodes().size(); ++v)
      activations.emplace_back(chunk * graph.value(v).positions(), graph.value(v).features,
                               network.kernels().lanes);
  }

  static std::size_t bytes(const GraphNetwork& network, std::size_t chunk, const Estimator& estimator,
                           Likelihood likelihood) {
    const Graph& graph = network.graph();
    const ValueShape& output = graph.output();
    std::size_t total = 0;
    for (std::size_t v = 0; v <= graph.nodes().size(); ++v)
      total += StripBuffer::bytes(chunk * graph.value(v).positions(), graph.value(v).features,
                                  network.kernels().lanes);
    const std::size_t floats = network.scratch_floats() + 2 * chunk * output.size() + output.features;
    return total + floats * sizeof(float) +
           SequenceSeeds::bytes(estimator, likelihood, output.features, output.positions(), chunk);
  }

  std::vector<StripBuffer> activations;  // per value
  std::vector<kernels::Strips> values;   // of the samples at hand
  SequenceSeeds seeds;
  OpScratch scratch;
  AlignedBuffer<float> logits, squares;  // [chunk * positions, C]
  std::vector<float> totals;             // [C]: a sample's squares summed over positions
  PassTrack* track;
};

/// The chunk of the pass that follows, so that neither needs more memory than that.
std::size_t chunk_of(const Architecture& architecture, const Estimator& estimator, Likelihood likelihood,
                     const GraphNetwork& network) {
  return GraphLayout(architecture, estimator, likelihood, network.kernels().lanes).chunk;
}

class GraphScorer final : public SampleScorer {
 public:
  GraphScorer(const Network& network, const ScoreOptions& options, const Context& context)
      : network_(network.architecture(), context),
        chunk_(chunk_of(network.architecture(), options.estimator, options.likelihood, network_)) {
    network_.pack(network, context);
    const GraphNode& last = network_.graph().nodes().back();
    if (last.layer.type == "linear") {
      last_input_ = last.inputs.front();
      has_last_ = true;
      bias_ = last.parameters.size() > 1 ? 1 : 0;
    }
    for (int w = 0; w < context.threads(); ++w)
      workers_.push_back(std::make_unique<Worker>(
          network_, chunk_, scored(options.estimator), options.likelihood,
          options.profile ? &options.profile->track(static_cast<std::size_t>(w)) : nullptr));
  }

  std::size_t chunk_rows() const override { return chunk_; }

  void score(const BlockReader& block, std::size_t first, std::size_t count, std::size_t worker_index,
             float* norms, std::uint64_t* strata) override {
    Worker& worker = *workers_[worker_index];
    forward(block, first, count, worker);
    const PassTimer timer(worker.track, PassPhase::Seeds);
    const std::size_t outputs = network_.graph().output().features;
    const std::size_t positions = network_.graph().output().positions();
    const MatrixView<float> logits{worker.logits.data(), count * positions, outputs};
    network_.kernels().from_strips(worker.values.back(), logits.data, outputs);
    MatrixView<const float> targets = block.targets();
    if (targets.rows) targets = {targets.row(first), count, targets.cols, targets.stride};
    worker.seeds.prepare(logits, targets, block.samples().subspan(first, count));
    const MatrixView<float> squares{worker.squares.data(), count * positions, outputs};
    worker.seeds.write_squares(squares);
    for (std::size_t n = 0; n < count; ++n) {
      std::ranges::fill(worker.totals, 0.f);
      norms[n] = 0;
      for (std::size_t row = n * positions; row < (n + 1) * positions; ++row) {
        float sum = 0;
        for (std::size_t c = 0; c < outputs; ++c) {
          sum += squares(row, c);
          worker.totals[c] += squares(row, c);
        }
        norms[n] += sum * input_norm(row, worker);
      }
      strata[n] = stratum(worker.totals.data(), outputs);
    }
  }

 private:
  void forward(const BlockReader& block, std::size_t first, std::size_t count, Worker& worker) {
    const Graph& graph = network_.graph();
    worker.values.clear();
    for (std::size_t v = 0; v <= graph.nodes().size(); ++v)
      worker.values.push_back(worker.activations[v].rows(0, count * graph.value(v).positions()));
    {
      const PassTimer timer(worker.track, PassPhase::Strips);
      const MatrixView<const float> inputs = block.inputs();
      network_.load({inputs.row(first), count, inputs.cols, inputs.stride}, worker.values[0]);
    }
    network_.forward(worker.values, count, block.samples().data() + first, worker.scratch,
                     [&](std::size_t i) {
                       return PassTimer(worker.track, PassPhase::Forward, i,
                                        static_cast<double>(count) * network_.op(i).flops().forward);
                     });
  }

  /// What the seeds of a row are multiplied by in the last layer's trace.
  float input_norm(std::size_t row, const Worker& worker) const {
    if (!has_last_) return 1;
    return bias_ + static_cast<float>(row_squares(worker.values[last_input_], row, network_.kernels().lanes));
  }

  GraphNetwork network_;
  std::size_t chunk_;
  std::size_t last_input_ = 0;  // the value that goes into a last layer which is linear
  bool has_last_ = false;
  float bias_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

std::unique_ptr<SampleScorer> make_graph_scorer(const Network& network, const ScoreOptions& options,
                                                const Context& context) {
  return std::make_unique<GraphScorer>(network, options, context);
}

std::size_t graph_scorer_bytes(const Architecture& architecture, const Estimator& estimator,
                               Likelihood likelihood, const Context& context) {
  const GraphNetwork network(architecture, context);
  const std::size_t chunk = chunk_of(architecture, estimator, likelihood, network);
  return network.packed_bytes() + static_cast<std::size_t>(context.threads()) *
                                      Worker::bytes(network, chunk, scored(estimator), likelihood);
}

}  // namespace fisherdiag
