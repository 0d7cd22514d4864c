#include "fisherdiag/fisher/shard.hpp"

#include "fisher/fisher_fixture.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/sum_file.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/temporary_folder.hpp"

using namespace fisherdiag;

namespace {

using Paths = std::vector<std::filesystem::path>;

/// One computation, whole or in shards.
struct Job {
  explicit Job(std::size_t count, const std::string& architecture = "mlp:6-7-3")
      : network(test::make_network(architecture, 3)),
        data(reference::to_dataset(test::make_samples(network, count, Likelihood::Categorical, 4))) {}

  Network network;
  std::unique_ptr<Dataset> data;
  FisherOptions options;

  FisherDiagonal whole() { return compute_fisher(network, *data, options, Context(1)); }
  FisherShard shard(std::size_t index, std::size_t count, int threads = 1) {
    return compute_fisher_shard(network, *data, options, {index, count}, Context(threads));
  }
  /// The last shard first: their order must not matter.
  Paths save_all(const std::filesystem::path& folder, std::size_t count) {
    Paths paths;
    std::size_t samples = 0;
    for (std::size_t index = count; index > 0; --index) {
      paths.push_back(folder / ("shard-" + std::to_string(index)));
      const FisherShard part = shard(index, count, index % 2 ? 1 : 3);
      samples += part.samples;
      part.save(paths.back());
    }
    CHECK(samples == data->size());
    return paths;
  }
};

}  // namespace

TEST_CASE("all shards together have the bits of one run") {
  for (const std::size_t samples : {40, 2000, 10000})
    for (const EstimatorKind kind :
         {EstimatorKind::Empirical, EstimatorKind::MonteCarlo, EstimatorKind::Batched}) {
      Job job(samples);
      job.options.estimator = {kind, 2, 5, 100};
      const FisherDiagonal whole = job.whole();
      for (const std::size_t count : {1, 2, 3, 4, 7, 16}) {
        const testing::TemporaryFolder folder;
        const FisherDiagonal merged = merge_shards(job.save_all(folder.path(), count));
        CAPTURE(samples, count);
        CHECK(merged.sha256() == whole.sha256());
        CHECK(merged.metadata().to_strings() == whole.metadata().to_strings());
      }
    }
}

TEST_CASE("shards of a model whose F is not small, in sums too") {
  Job job(9000, "mlp:300-280-5");
  job.options.normalization = Normalization::Sum;
  const testing::TemporaryFolder folder;
  CHECK(merge_shards(job.save_all(folder.path(), 2)).sha256() == job.whole().sha256());
}

TEST_CASE("shards share the work where there are sections for them") {
  Job job(10000);
  for (std::size_t index = 1; index <= 4; ++index) {
    const FisherShard part = job.shard(index, 4);
    CHECK(part.samples >= 1500);
    CHECK(part.samples <= 4000);
  }
  CHECK(Job(40).shard(1, 2).samples == 40);
  CHECK(Job(40).shard(2, 2).sections.empty());
}

TEST_CASE("a shard goes on from its checkpoint") {
  const testing::TemporaryFolder folder;
  Job job(10000);
  const std::string expected = job.shard(2, 2).sha256();
  job.options.checkpoint = CheckpointRequest{folder.path() / "F.ckpt", 0.0, true};
  job.options.progress = [](std::size_t done, std::size_t) { return done < 2000; };
  CHECK_THROWS_AS(job.shard(2, 2), InterruptedError);
  job.options.progress = {};
  CHECK(test::contains(test::message_of<DataError>([&] { job.shard(1, 2); }), "its shard is 2/2, not 1/2"));
  CHECK(job.shard(2, 2).sha256() == expected);
}

TEST_CASE("shards that do not make a whole are refused") {
  const testing::TemporaryFolder folder, other;
  Job job(3000);
  Paths paths = job.save_all(folder.path(), 3);
  const auto complaint = [](const Paths& files) {
    return test::message_of<DataError>([&] { merge_shards(files); });
  };
  CHECK(test::contains(complaint({paths[0], paths[2]}), "shard 2 of 3 is missing"));
  CHECK(test::contains(complaint({paths[0], paths[1]}), "shard 1 of 3 is missing"));
  CHECK(test::contains(complaint({paths[0], paths[1], paths[2], paths[1]}), "is shard 2/3, as is"));
  job.options.estimator.seed = 2;
  const Paths reseeded = job.save_all(other.path(), 3);
  CHECK(test::contains(complaint({paths[0], paths[1], reseeded[2]}), "its seed is 2, not 1"));
  job.options.estimator.seed = 1;
  job.options.normalization = Normalization::Sum;
  job.shard(1, 3).save(reseeded[2]);
  CHECK(test::contains(complaint({paths[0], paths[1], reseeded[2]}), "normalization"));
  job.shard(1, 2).save(reseeded[2]);
  CHECK(test::contains(complaint({paths[0], paths[1], reseeded[2]}), "is shard 1/2"));
  job.whole().save(reseeded[0]);
  CHECK(test::contains(complaint({paths[0], paths[1], reseeded[0]}), "is not a shard"));
  CHECK_FALSE(is_shard_file(reseeded[0]));
  CHECK(is_shard_file(paths[0]));
  CHECK(test::contains(test::message_of<DataError>([&] { FisherDiagonal::load(paths[0]); }), "is a shard"));
}

TEST_CASE("a signed shard that lies about its architecture costs no memory and opens no other file") {
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "shard";
  Job(100).shard(1, 1).save(path);
  const auto complaint = [&](const std::string& architecture) {
    SumFile file = load_sums(path, kShardFormat);
    file.metadata["computation.architecture"] = architecture;
    std::vector<NamedSums> sums;
    for (const auto& [name, values] : file.sums) sums.push_back({name, {values.data(), values.size()}});
    save_sums(folder.path() / "changed", kShardFormat, file.metadata, sums);
    return test::message_of<DataError>([&] { merge_shards({folder.path() / "changed"}); });
  };
  CHECK(test::contains(complaint(folder.path() / "arch.json"), "changed: its architecture is not JSON"));
  // A terabyte of sums, if it were believed.
  const std::string huge = Architecture::parse("mlp:300000-400000").to_json();
  CHECK(test::contains(complaint(huge), "changed: has no section of the 120000400000 parameters"));
}

TEST_CASE("a shard that cannot be") {
  Job job(100);
  CHECK_THROWS_AS(job.shard(0, 2), ArgumentError);
  CHECK_THROWS_AS(job.shard(3, 2), ArgumentError);
  job.options.max_samples = 50;
  CHECK_THROWS_AS(job.shard(1, 2), ArgumentError);
}
