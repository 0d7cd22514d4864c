#include "fisherdiag/fisher/diagonal.hpp"

#include <unistd.h>

#include <filesystem>
#include <limits>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

/// A file name of this test process, removed at the end.
struct TemporaryFile {
  std::filesystem::path path = std::filesystem::temp_directory_path() /
                               ("fisherdiag-diagonal-" + std::to_string(getpid()) + ".safetensors");
  ~TemporaryFile() { std::filesystem::remove(path); }
};

FisherDiagonal example() {
  AlignedBuffer<float> values(5);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.25f * static_cast<float>(i);
  FisherMetadata metadata;
  metadata.estimator = {EstimatorKind::MonteCarlo, 7, 99, 128};
  metadata.likelihood = Likelihood::Poisson;
  metadata.normalization = Normalization::Sum;
  metadata.samples = 12345678901;
  metadata.sampling = {SubsetKind::Importance, 99999999999, 0.01, 1.0 / 3, 1.0 / 7, {0.1, 0.2}};
  metadata.weights_sha256 = "ab";
  metadata.data = "X.npy";
  metadata.isa = "avx2";
  metadata.version = "1.2.3";
  return {{{"w", {2, 2}, 0, 4}, {"b", {1}, 4, 1}}, std::move(values), metadata};
}

void write(const std::filesystem::path& path, float value,
           const std::map<std::string, std::string>& metadata) {
  const TensorView view{"w", {1}, {&value, 1}};
  write_safetensors(path, {&view, 1}, metadata);
}

}  // namespace

TEST_CASE("a diagonal is read back as it was written") {
  const TemporaryFile file;
  const FisherDiagonal written = example();
  written.save(file.path);
  const FisherDiagonal read = FisherDiagonal::load(file.path);
  REQUIRE(read.tensors().size() == 2);
  REQUIRE(read.tensors()[0].name == "w");
  REQUIRE(read.tensors()[0].shape == std::vector<std::size_t>{2, 2});
  REQUIRE(read.sha256() == written.sha256());
  REQUIRE(read.trace() == 2.5);  // sums of quarters are exact
  REQUIRE(read.metadata().to_strings() == written.metadata().to_strings());
  REQUIRE(read.metadata().estimator.draws == 7);
  REQUIRE(read.metadata().samples == 12345678901);
}

TEST_CASE("metadata says only what applies") {
  FisherMetadata metadata;
  REQUIRE(metadata.to_strings().count("draws") == 0);
  REQUIRE(metadata.to_strings().count("batch_size") == 0);
  metadata.estimator.kind = EstimatorKind::Batched;
  REQUIRE(metadata.to_strings().at("batch_size") == "128");
  REQUIRE(FisherMetadata::from_strings({}).to_strings() == FisherMetadata().to_strings());
}

TEST_CASE("malformed metadata is an error") {
  for (const char* key :
       {"estimator", "likelihood", "normalization", "samples", "seed", "draws", "batch_size"})
    for (const char* value : {"", "bogus", "-1", "1 "})
      REQUIRE_THROWS_AS(FisherMetadata::from_strings({{key, value}}), DataError);
}

TEST_CASE("values that are no Fisher diagonal are not read") {
  const TemporaryFile file;
  for (const float value :
       {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    write(file.path, value, {});
    REQUIRE_THROWS_AS(FisherDiagonal::load(file.path), DataError);
  }
  write(file.path, 1.0f, {{"estimator", "guess"}});
  REQUIRE_THROWS_AS(FisherDiagonal::load(file.path), DataError);
  write(file.path, 1.0f, {});
  REQUIRE(FisherDiagonal::load(file.path).values()[0] == 1.0f);
}

TEST_CASE("tensors must tile the values") {
  REQUIRE_THROWS_AS(FisherDiagonal({{"w", {2}, 0, 2}}, AlignedBuffer<float>(3), {}), ArgumentError);
  REQUIRE_THROWS_AS(FisherDiagonal({{"w", {2}, 1, 2}}, AlignedBuffer<float>(3), {}), ArgumentError);
}
