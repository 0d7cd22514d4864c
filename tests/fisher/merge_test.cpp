#include "fisherdiag/fisher/merge.hpp"

#include <limits>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

FisherMetadata described(std::uint64_t samples, Normalization normalization = Normalization::Mean) {
  FisherMetadata metadata;
  metadata.samples = samples;
  metadata.normalization = normalization;
  metadata.weights_sha256 = "same";
  return metadata;
}

/// Tensors a [1] and b [1] of the given values, stored in either order.
FisherDiagonal diagonal(float a, float b, const FisherMetadata& metadata, bool swapped = false) {
  AlignedBuffer<float> values(2);
  values[swapped ? 1 : 0] = a;
  values[swapped ? 0 : 1] = b;
  std::vector<ParameterTensor> tensors = {{swapped ? "b" : "a", {1}, 0, 1}, {swapped ? "a" : "b", {1}, 1, 1}};
  return {std::move(tensors), std::move(values), metadata};
}

FisherDiagonal merged(const FisherDiagonal& first, const FisherDiagonal& second, MergeOptions options = {}) {
  FisherMerger merger(options);
  merger.add(first);
  merger.add(second);
  return merger.finish();
}

}  // namespace

TEST_CASE("an importance subset weighs as the samples it stands for, and no error is claimed for the sum") {
  FisherMetadata subset = described(2);
  subset.sampling = {SubsetKind::Importance, 6, {}, 0.5, 0.1, {0.5}};
  const FisherDiagonal result = merged(diagonal(4, 8, subset), diagonal(8, 0, described(2)));
  REQUIRE(result.values()[0] == 5.0f);  // (6 * 4 + 2 * 8) / 8
  REQUIRE(result.metadata().samples == 4);
  REQUIRE(result.metadata().sampling.subset == SubsetKind::All);
  REQUIRE_FALSE(result.metadata().sampling.trace_standard_error);
}

// All values are small multiples of powers of two: results are exact.
TEST_CASE("means are weighted with their samples") {
  const FisherDiagonal result = merged(diagonal(4, 8, described(1)), diagonal(8, 0, described(3)));
  REQUIRE(result.values()[0] == 7);
  REQUIRE(result.values()[1] == 2);
  REQUIRE(result.metadata().samples == 4);
  REQUIRE(result.metadata().weights_sha256 == "same");
}

TEST_CASE("sums are added") {
  const Normalization sum = Normalization::Sum;
  const FisherDiagonal result = merged(diagonal(4, 8, described(1, sum)), diagonal(8, 1, described(3, sum)));
  REQUIRE(result.values()[0] == 12);
  REQUIRE(result.values()[1] == 9);
}

TEST_CASE("means over batches are weighted with their batches") {
  FisherMetadata five = described(5), eight = described(8);
  for (FisherMetadata* metadata : {&five, &eight}) {
    metadata->estimator.kind = EstimatorKind::Batched;
    metadata->estimator.batch_size = 4;
  }
  // 2 batches each: 5 samples leave a part of one.
  REQUIRE(merged(diagonal(4, 0, five), diagonal(8, 0, eight)).values()[0] == 6);
}

TEST_CASE("tensors are matched by name") {
  const FisherDiagonal result = merged(diagonal(1, 2, described(1)), diagonal(3, 4, described(1), true));
  REQUIRE(result.values()[0] == 2);
  REQUIRE(result.values()[1] == 3);
}

TEST_CASE("decay is applied to what came before, in order, and not weighted") {
  FisherMetadata later = described(100);
  later.weights_sha256 = "later";
  FisherMerger merger({0.5, false});
  merger.add(diagonal(16, 0, described(1)));
  merger.add(diagonal(4, 0, described(7)));
  merger.add(diagonal(1, 2, later));
  const FisherDiagonal result = merger.finish();
  REQUIRE(result.values()[0] == 7);  // (16 / 2 + 4) / 2 + 1
  REQUIRE(result.values()[1] == 2);
  REQUIRE(result.metadata().weights_sha256 == "later");
}

TEST_CASE("different quantities are refused unless forced") {
  FisherMetadata exact = described(1), poisson = described(1), moved = described(1);
  exact.estimator.kind = EstimatorKind::Exact;
  poisson.likelihood = Likelihood::Poisson;
  moved.weights_sha256 = "moved";
  for (const FisherMetadata& other : {exact, poisson, moved}) {
    REQUIRE_THROWS_AS(merged(diagonal(1, 2, described(1)), diagonal(3, 4, other)), DataError);
    REQUIRE(merged(diagonal(1, 2, described(1)), diagonal(3, 4, other), {{}, true}).values()[0] == 2);
  }
  REQUIRE(merged(diagonal(1, 2, described(1)), diagonal(3, 4, moved), {{}, true})
              .metadata()
              .weights_sha256.empty());
}

TEST_CASE("what cannot be added is refused even if forced") {
  const MergeOptions forced{{}, true};
  const FisherDiagonal first = diagonal(1, 2, described(1));
  REQUIRE_THROWS_AS(merged(first, diagonal(3, 4, described(1, Normalization::Sum)), forced), DataError);
  REQUIRE_THROWS_AS(merged(first, diagonal(3, 4, described(0)), forced), DataError);
  REQUIRE_THROWS_AS(merged(first, {{{"a", {2}, 0, 2}}, AlignedBuffer<float>(2), described(1)}, forced),
                    DataError);
  REQUIRE_THROWS_AS(FisherMerger({}).finish(), ArgumentError);
  REQUIRE_THROWS_AS(FisherMerger({0.0, false}), ArgumentError);
  REQUIRE_THROWS_AS(FisherMerger({1.5, false}), ArgumentError);
}

TEST_CASE("a sum too large for float is an error") {
  const float huge = std::numeric_limits<float>::max();
  const FisherMetadata sum = described(1, Normalization::Sum);
  REQUIRE_THROWS_AS(merged(diagonal(huge, 0, sum), diagonal(huge, 0, sum)), DataError);
}
