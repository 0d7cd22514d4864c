#include "fisherdiag/fisher/checkpoint.hpp"

#include <fstream>
#include <functional>

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/memory.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "fisherdiag/fisher/sum_file.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/temporary_folder.hpp"

using namespace fisherdiag;

namespace {

constexpr std::size_t kSamples = 5000;

/// A computation of 5,000 samples: ten chains, four sections.
struct Job {
  Network network = test::make_network("mlp:6-7-3", 3);
  test::Samples samples = test::make_samples(network, kSamples, Likelihood::Categorical, 4);
  FisherOptions options;
  int threads = 1;

  FisherDiagonal run(FisherStatistics* statistics = nullptr) const {
    const auto data = reference::to_dataset(samples);
    return compute_fisher(network, *data, options, Context(threads), statistics);
  }
  /// A chain at a time from now on.
  void use_least_memory() {
    options.max_memory_bytes = 0;
    const std::size_t drawn = options.until ? kSamples * sizeof(std::uint64_t) + kSamples / 8 : 0;
    options.max_memory_bytes =
        drawn + fisher_memory(network.architecture(), options, kSamples,
                              pass_chain_rows(network.architecture(), options, Context(threads)),
                              Context(threads));
  }
  /// Stops at the first report of at least `stop` samples, in the smallest steps.
  void run_until(std::size_t stop) {
    use_least_memory();
    options.progress = [stop](std::size_t done, std::size_t) { return done < stop; };
    CHECK_THROWS_AS(run(), InterruptedError);
    options.progress = {};
  }
};

Job resuming_job(const std::filesystem::path& checkpoint) {
  Job job;
  job.options.checkpoint = CheckpointRequest{checkpoint, 0.0, true};
  return job;
}

void flip_bit(const std::filesystem::path& path, std::streamoff from_end) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-from_end, std::ios::end);
  const int byte = file.get();
  file.seekp(-from_end, std::ios::end);
  file.put(static_cast<char>(byte ^ 1));
}

}  // namespace

TEST_CASE("an interrupted pass goes on to the bits of an uninterrupted one, wherever it stopped") {
  const testing::TemporaryFolder folder;
  for (const EstimatorKind kind :
       {EstimatorKind::Empirical, EstimatorKind::MonteCarlo, EstimatorKind::Batched}) {
    Job plain;
    plain.options.estimator = {kind, 2, 5, 128};
    const std::string expected = plain.run().sha256();
    for (const std::size_t stop : {1, 700, 1500, 1600, 4000, 4999}) {
      Job job = resuming_job(folder.path() / "F.ckpt");
      job.options.estimator = plain.options.estimator;
      std::filesystem::remove(folder.path() / "F.ckpt");
      job.run_until(stop);
      job.threads = 3;
      job.options.max_memory_bytes = 0;
      CHECK(job.run().sha256() == expected);
      CHECK(job.run().sha256() == expected);  // from the checkpoint of the finished sum
    }
  }
}

TEST_CASE("a pass stops within a block and saves what is before it") {
  const testing::TemporaryFolder folder;
  Job job = resuming_job(folder.path() / "F.ckpt");
  const std::string expected = Job().run().sha256();
  job.use_least_memory();
  std::size_t asked = 0;
  job.options.stop = [&] { return ++asked > 20; };
  std::size_t seen = 0;
  job.options.progress = [&](std::size_t done, std::size_t) {
    seen = done;
    return true;
  };
  const std::string message = test::message_of<InterruptedError>([&] { job.run(); });
  CHECK(seen > 0);
  CHECK(seen < kSamples);
  CHECK(test::contains(message, "F.ckpt holds the " + std::to_string(seen) + " samples"));
  job.options.stop = {};
  CHECK(job.run().sha256() == expected);
}

TEST_CASE("rounds of a uniform subset go on too") {
  const testing::TemporaryFolder folder;
  Job plain;
  plain.options.until = 0.012;
  const FisherDiagonal expected = plain.run();
  REQUIRE(expected.metadata().samples > 1024);
  for (const std::size_t stop : {1, 600, 1024}) {
    Job job = resuming_job(folder.path() / "F.ckpt");
    job.options.until = plain.options.until;
    std::filesystem::remove(folder.path() / "F.ckpt");
    job.run_until(stop);
    const FisherDiagonal resumed = job.run();
    CHECK(resumed.sha256() == expected.sha256());
    CHECK(resumed.metadata().to_strings() == expected.metadata().to_strings());
  }
}

TEST_CASE("time and work of a resumed pass are those of all of it") {
  const testing::TemporaryFolder folder;
  FisherStatistics whole, resumed;
  Job().run(&whole);
  Job job = resuming_job(folder.path() / "F.ckpt");
  job.run_until(2000);
  job.run(&resumed);
  CHECK(resumed.flops == whole.flops);
  CHECK(resumed.seconds > 0);
}

TEST_CASE("a checkpoint of another computation is refused, naming what differs") {
  const testing::TemporaryFolder folder;
  resuming_job(folder.path() / "F.ckpt").run_until(2000);
  const auto complaint = [&](const std::function<void(Job&)>& change) {
    Job job = resuming_job(folder.path() / "F.ckpt");
    change(job);
    return test::message_of<DataError>([&] { job.run(); });
  };
  const auto has = [](const std::string& message, const std::string& word) {
    CAPTURE(message);
    CHECK(test::contains(message, "F.ckpt: belongs to another computation: its " + word));
  };
  has(complaint([](Job& job) { job.options.estimator.seed = 9; }), "seed is 1, not 9");
  has(complaint([](Job& job) { job.options.estimator.kind = EstimatorKind::Exact; }), "estimator");
  has(complaint([](Job& job) { job.network.parameters()[5] += 1; }), "weights differs");
  has(complaint([](Job& job) { job.network = test::make_network("mlp:6-7-3:tanh", 3); }),
      "architecture differs");
  has(complaint([](Job& job) { job.samples.inputs[2000] += 1; }), "data differs");
  has(complaint([](Job& job) { job.options.max_samples = 3000; }), "subset");
  Job sum = resuming_job(folder.path() / "F.ckpt");
  sum.options.normalization = Normalization::Sum;  // the sums are the same
  CHECK_NOTHROW(sum.run());
}

TEST_CASE("what a checkpoint holds is not lost by accident, nor believed when it is damaged") {
  const testing::TemporaryFolder folder;
  Job job = resuming_job(folder.path() / "F.ckpt");
  job.run_until(2000);
  job.options.checkpoint->resume = false;
  CHECK(test::contains(test::message_of<DataError>([&] { job.run(); }), "unfinished computation"));
  job.options.checkpoint->resume = true;
  flip_bit(folder.path() / "F.ckpt", 100);
  CHECK(test::contains(test::message_of<DataError>([&] { job.run(); }), "damaged"));
  job.network.save(folder.path() / "W.safetensors");
  job.options.checkpoint->path = folder.path() / "W.safetensors";
  CHECK(test::contains(test::message_of<DataError>([&] { job.run(); }), "not a checkpoint"));
  job.options.checkpoint->path = folder.path() / "missing/F.ckpt";
  CHECK_THROWS_AS(job.run(), IoError);
}

TEST_CASE("a signed checkpoint whose parts do not fit is refused, before it is used") {
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "F.ckpt";
  Job job = resuming_job(path);
  job.options.until = 0.012;
  job.run_until(1024);
  const auto complaint = [&](const std::function<void(SumFile&)>& change) {
    SumFile file = load_sums(path, kCheckpointFormat);
    change(file);
    std::vector<NamedSums> sums;
    for (const auto& [name, values] : file.sums) sums.push_back({name, {values.data(), values.size()}});
    Job other = resuming_job(folder.path() / "changed.ckpt");
    save_sums(other.options.checkpoint->path, kCheckpointFormat, file.metadata, sums);
    other.options.until = job.options.until;
    const std::string message = test::message_of<DataError>([&] { other.run(); });
    CAPTURE(message);
    CHECK(test::contains(message, "changed.ckpt"));
    return message;
  };
  const auto entry = [&](const char* key, const char* value) {
    return complaint([&](SumFile& file) { file.metadata[key] = value; });
  };
  CHECK(test::contains(entry("rounds", "18446744073709551615"), "rounds of samples"));
  CHECK(test::contains(entry("rounds", "0"), "0 rounds of samples"));
  CHECK(test::contains(entry("done", "4000"), "4000 samples of a round of"));
  CHECK(test::contains(entry("position", "3"), "its sums are not those"));
  CHECK(test::contains(complaint([](SumFile& file) { file.sums["total"] = AlignedBuffer<double>(73); }),
                       "its sums are not those"));
  CHECK(test::contains(complaint([](SumFile& file) { file.sums["moments"] = AlignedBuffer<double>(3); }),
                       "moments of 3 traces"));
  CHECK(test::contains(complaint([](SumFile& file) { file.sums["moments"][0] = -1; }), "moments"));
}

TEST_CASE("an importance subset has no checkpoint") {
  const testing::TemporaryFolder folder;
  Job job = resuming_job(folder.path() / "F.ckpt");
  job.options.subset = {SubsetKind::Importance, 100};
  CHECK(test::contains(test::message_of<ArgumentError>([&] { job.run(); }), "importance"));
}
