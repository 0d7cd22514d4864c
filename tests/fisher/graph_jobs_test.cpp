// What is done with graphs of layers beside one plain pass.
#include <cmath>
#include <numeric>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/check.hpp"
#include "fisherdiag/fisher/full_matrix.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/plan.hpp"
#include "fisherdiag/fisher/replay.hpp"
#include "fisherdiag/fisher/shard.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/temporary_folder.hpp"

using namespace fisherdiag;
using namespace test;

namespace {

/// A residual net with every kind of tensor: matrices, a shared one, vectors, buffers.
constexpr const char* kResidual = R"({"input": [2, 5, 4], "layers": [
    {"type": "conv2d", "name": "stem", "out": 4, "kernel": 3, "padding": 1},
    {"type": "batch_norm", "name": "bn"}, {"type": "relu", "name": "r"},
    {"type": "conv2d", "name": "c1", "out": 4, "kernel": 3, "padding": 1, "bias": false},
    {"type": "group_norm", "name": "gn", "groups": 2}, {"type": "tanh"},
    {"type": "conv2d", "name": "c2", "out": 4, "kernel": 3, "padding": 1, "weight": "c1.weight", "bias": false},
    {"type": "add", "name": "sum", "from": ["c2", "r"]}, {"type": "max_pool2d", "kernel": 2},
    {"type": "avg_pool2d", "kernel": [1, 2]}, {"type": "flatten"},
    {"type": "linear", "name": "head", "out": 3}]})";

struct Job {
  explicit Job(std::size_t samples, EstimatorKind kind = EstimatorKind::Empirical)
      : network(make_network(kResidual, 3)),
        data(reference::to_dataset(make_samples(network, samples, Likelihood::Categorical, 4))) {
    options.estimator = {kind, 2, 5, 100};
  }
  FisherDiagonal whole(int threads = 1) { return compute_fisher(network, *data, options, Context(threads)); }

  Network network;
  std::unique_ptr<Dataset> data;
  FisherOptions options;
};

}  // namespace

TEST_CASE("shards of a graph together have the bits of one run", "[fisher]") {
  for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Batched}) {
    Job job(3000, kind);
    const FisherDiagonal whole = job.whole();
    for (const std::size_t count : {1, 3}) {
      const testing::TemporaryFolder folder;
      std::vector<std::filesystem::path> paths;
      for (std::size_t index = 1; index <= count; ++index) {
        paths.push_back(folder.path() / std::to_string(index));
        compute_fisher_shard(job.network, *job.data, job.options, {index, count}, Context(2))
            .save(paths.back());
      }
      CAPTURE(estimator_name(kind), count);
      CHECK(merge_shards(paths).sha256() == whole.sha256());
    }
  }
}

TEST_CASE("a graph's sum is that of its sections in double", "[fisher]") {
  // Floats hide the order of additions, so the sums themselves are compared.
  constexpr std::size_t kSamples = 3000;
  Job job(kSamples);
  const Architecture& architecture = job.network.architecture();
  const Context context(1);
  const std::size_t chain = pass_chain_rows(architecture, job.options, context);
  const std::size_t section = pass_section_rows(architecture, job.options, kSamples, context);
  REQUIRE(section > 0);
  const std::size_t block = (kSamples + chain - 1) / chain * chain;
  const auto pass = make_pass(job.network, job.options, block, section, context);
  const Samples samples = make_samples(job.network, kSamples, Likelihood::Categorical, 4);
  std::vector<std::uint64_t> names(kSamples);
  std::iota(names.begin(), names.end(), std::uint64_t{0});
  pass->add({samples.inputs.data(), kSamples, samples.features}, {samples.targets.data(), kSamples, 1},
            names);
  const AlignedBuffer<double> whole = pass->take_sum();
  const FisherShard shard = compute_fisher_shard(job.network, *job.data, job.options, {1, 1}, context);
  REQUIRE(shard.sections.size() > 2);
  std::vector<double> folded(whole.size());
  for (const AlignedBuffer<double>& part : shard.sections)
    for (std::size_t i = 0; i < folded.size(); ++i) folded[i] += part[i];
  CHECK(std::ranges::equal(folded, whole));
}

TEST_CASE("an interrupted pass over a graph goes on to the same bits", "[fisher]") {
  const testing::TemporaryFolder folder;
  Job job(3000);
  const std::string expected = job.whole().sha256();
  job.options.checkpoint = CheckpointRequest{folder.path() / "F.ckpt", 0.0, true};
  for (const std::size_t stop : {1000, 2000}) {
    job.options.progress = [&](std::size_t done, std::size_t) { return done < stop; };
    CHECK_THROWS_AS(job.whole(2), InterruptedError);
  }
  job.options.progress = {};
  CHECK(job.whole().sha256() == expected);
}

TEST_CASE("a profile of a graph has its layers and leaves the bits alone", "[fisher]") {
  Job job(100, EstimatorKind::Exact);
  const std::string expected = job.whole(2).sha256();
  PassProfile profile(2, true);
  job.options.profile = &profile;
  CHECK(job.whole(2).sha256() == expected);
  const Architecture& architecture = job.network.architecture();
  CHECK(profile.layers() == architecture.graph()->nodes().size());
  CHECK(architecture.layer_name(3) == "c1");
  // 2 flop for each of 4 x 36 weights at 20 positions.
  CHECK(profile.total(PassPhase::Forward, 3).flops == 100.0 * 2 * 4 * 36 * 20);
  CHECK(profile.total(PassPhase::Backward, 3).flops == 2 * 100.0 * 2 * 4 * 36 * 20);
  CHECK(profile.total(PassPhase::Accumulate, 3).spans > 0);
}

TEST_CASE("a graph passes its check with every estimator", "[fisher]") {
  Job job(30);
  for (const EstimatorKind kind : {EstimatorKind::Empirical, EstimatorKind::Exact, EstimatorKind::MonteCarlo,
                                   EstimatorKind::Sketch, EstimatorKind::Batched}) {
    CheckOptions options;
    options.estimator = {kind, 2, 1, 4};
    const CheckReport report = check_fisher(job.network, *job.data, options, Context(2));
    CAPTURE(estimator_name(kind));
    CHECK(report.samples + report.samples_at_corners == 8);
    for (const TensorCheck& tensor : report.tensors) {
      CAPTURE(tensor.name, tensor.fisher_error, tensor.gradient_error);
      CHECK(tensor.passed);
      CHECK(tensor.differences > 0);
    }
  }
}

TEST_CASE("layers of sequences pass their check", "[fisher]") {
  const Network network = make_network(R"({"sequence": [6], "layers": [
      {"type": "embedding", "name": "e", "tokens": 9, "out": 8, "padding_idx": 0},
      {"type": "positional_embedding", "name": "p", "length": 7}, {"type": "layer_norm", "name": "ln"},
      {"type": "linear", "name": "a", "out": 12}, {"type": "gelu"}, {"type": "rms_norm", "name": "rms"},
      {"type": "attention", "name": "att", "heads": 2, "causal": true, "from": ["rms", "input"], "padding_idx": 0},
      {"type": "linear", "name": "b", "out": 5}, {"type": "sequence_mean", "from": ["b", "input"], "padding_idx": 0}, {"type": "linear", "name": "head", "out": 3}]})",
                                       3);
  std::vector<float> tokens;
  for (std::size_t i = 0; i < 8 * 6; ++i) tokens.push_back(static_cast<float>(i * i % 9));
  const auto data = make_dataset(std::move(tokens), 6, {0, 1, 2, 0, 1, 2, 0, 1});
  const CheckReport report = check_fisher(network, *data, {}, Context(1));
  for (const TensorCheck& tensor : report.tensors) {
    CAPTURE(tensor.name, tensor.fisher_error, tensor.gradient_error);
    CHECK(tensor.passed);
  }
}

TEST_CASE("a network far from rounding has no sample at a corner, one on it has", "[fisher]") {
  Network network(Architecture::parse(R"({"input": [1, 1, 2], "layers": [
      {"type": "max_pool2d", "kernel": [1, 2]}, {"type": "flatten"},
      {"type": "linear", "name": "a", "out": 2}, {"type": "relu"}, {"type": "linear", "name": "b", "out": 2}]})"));
  const std::vector<float> parameters = {1, -1, -1, 3, 0.5f, -0.5f, 1, 2, 0, 0};
  std::ranges::copy(parameters, network.parameters().begin());
  // The largest of the second sample is within rounding of the corner of the first unit.
  const auto data = make_dataset({2.0f, 0.5f, 1.0f + 0x1p-23f, 0.5f}, 2, {0, 1});
  const CheckReport report = check_fisher(network, *data, {}, Context(1));
  CHECK(report.samples == 1);
  CHECK(report.samples_at_corners == 1);
}

TEST_CASE("the full matrix of a graph has its diagonal", "[fisher]") {
  Job job(20, EstimatorKind::Exact);
  FullMatrixOptions options;
  options.estimator = job.options.estimator;
  const std::vector<double> diagonal =
      compute_full_fisher(job.network, *job.data, options, Context(1)).diagonal();
  // Float sensitivities against double ones.
  CHECK(worst_tensor_error(job.whole(), diagonal) <= 1e-5);
}

TEST_CASE("a graph's reference outputs are replayed layer by layer", "[fisher]") {
  const testing::TemporaryFolder folder;
  const Job job(1);
  const auto path = folder.path() / "r.safetensors";
  const Samples samples = make_samples(job.network, 3, Likelihood::Categorical, 9);
  std::vector<float> inputs, logits;
  for (std::size_t n = 0; n < 3; ++n) {
    const Vector x = samples.input(n), z = reference::forward(reference::make_mlp(job.network), x);
    inputs.insert(inputs.end(), x.begin(), x.end());
    logits.insert(logits.end(), z.begin(), z.end());
  }
  const std::vector<TensorView> tensors{
      {"inputs", {3, 2, 5, 4}, inputs}, {"layers.head", {3, 3}, logits}, {"logits", {3, 3}, logits}};
  write_safetensors(path, tensors, {});
  CHECK(replay_reference(job.network, path).passed);
  Network other = make_network(kResidual, 3);
  other.buffers()[0] += 0.5f;
  const ReplayReport report = replay_reference(other, path);
  REQUIRE(report.first_difference());
  CHECK(report.first_difference()->name == "head");
}

TEST_CASE("a graph has a plan", "[fisher]") {
  const Architecture architecture = Architecture::parse(kResidual);
  PlanRequest request;
  request.samples = 5000;
  request.threads = {1, 2};
  const FisherPlan plan = plan_fisher(architecture, request, {}, Context(1));
  CHECK(plan.flops == 5000 * fisher_flops_per_sample(architecture, {}, Likelihood::Categorical));
  CHECK(plan.seconds > 0);
  CHECK(plan.peak_bytes > architecture.parameter_count() * (sizeof(double) + sizeof(float)));
  CHECK_FALSE(plan.narrowed);
}

TEST_CASE("exact over very many outputs is refused with the cost and what to use instead", "[fisher]") {
  const Network network = make_network("mlp:2-5000", 1);
  const auto data = make_dataset({0.1f, 0.2f}, 2, {7});
  FisherOptions options;
  options.estimator.kind = EstimatorKind::Exact;
  const std::string sentence =
      message_of<ArgumentError>([&] { compute_fisher(network, *data, options, Context(1)); });
  for (const char* word : {"5000 outputs", "4999 seeds", "Gflop", "sketch", "mc", "--force"})
    CHECK(contains(sentence, word));
  CHECK_THROWS_AS(plan_fisher(network.architecture(), {10, 0, {1}, nullptr, nullptr}, options, Context(1)),
                  ArgumentError);
  options.estimator.kind = EstimatorKind::Sketch;
  CHECK_NOTHROW(compute_fisher(network, *data, options, Context(1)));
  options.estimator.kind = EstimatorKind::Exact;
  options.force = true;
  CHECK_NOTHROW(compute_fisher(network, *data, options, Context(1)));
}
