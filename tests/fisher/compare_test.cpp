#include "fisherdiag/fisher/compare.hpp"

#include <cmath>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using Catch::Matchers::WithinAbs;

namespace {

/// A few roundings of double on values near 1.
constexpr double kRounding = 1e-15;

FisherDiagonal diagonal(std::vector<ParameterTensor> tensors, const std::vector<float>& values) {
  AlignedBuffer<float> buffer(values.size());
  std::copy(values.begin(), values.end(), buffer.begin());
  return {std::move(tensors), std::move(buffer), {}};
}

}  // namespace

TEST_CASE("figures by hand") {
  const std::vector<float> a = {1, 2, 4, 4}, b = {1, 2, 2, 8};
  const Similarity result = compare_values(a, b);
  REQUIRE(result.trace_a == 11);
  REQUIRE(result.trace_b == 13);
  REQUIRE_THAT(result.trace_ratio, WithinAbs(11.0 / 13.0, kRounding));
  REQUIRE_THAT(result.cosine, WithinAbs(45.0 / std::sqrt(37.0 * 73.0), kRounding));
  REQUIRE_THAT(result.relative_error, WithinAbs(std::sqrt(20.0 / 73.0), kRounding));
  // Ranks less their mean: -1.5, -0.5, 1, 1 and -1.5, 0, 0, 1.5.
  REQUIRE_THAT(result.spearman, WithinAbs(3.75 / 4.5, kRounding));
  REQUIRE_THAT(result.overlap,
               WithinAbs((1 + 2 + std::sqrt(8.0) + std::sqrt(32.0)) / std::sqrt(11.0 * 13.0), kRounding));
}

TEST_CASE("a diagonal equals itself exactly") {
  const std::vector<float> values = {0.1f, 3e-20f, 7, 0.3f, 0.3f};
  const Similarity result = compare_values(values, values);
  REQUIRE(result.trace_ratio == 1);
  REQUIRE(result.cosine == 1);
  REQUIRE(result.spearman == 1);
  REQUIRE(result.relative_error == 0);
}

TEST_CASE("scaling changes the trace, not the direction") {
  const std::vector<float> a = {1, 2, 4}, b = {8, 16, 32};
  const Similarity result = compare_values(a, b);
  REQUIRE(result.trace_ratio == 0.125);
  REQUIRE(result.cosine == 1);
  REQUIRE(result.spearman == 1);
  REQUIRE(result.relative_error == 0.875);
}

TEST_CASE("undefined figures are NaN") {
  const std::vector<float> zero = {0, 0}, some = {1, 2};
  REQUIRE(std::isnan(compare_values(some, zero).trace_ratio));
  REQUIRE(std::isnan(compare_values(some, zero).cosine));
  REQUIRE(std::isnan(compare_values(some, zero).spearman));
  REQUIRE(std::isnan(compare_values(some, zero).relative_error));
  REQUIRE(std::isnan(compare_values(some, zero).overlap));
  REQUIRE(compare_values(zero, zero).relative_error == 0);
  REQUIRE(std::isnan(compare_values({}, {}).spearman));
  REQUIRE_THROWS_AS(compare_values(some, {}), ArgumentError);
}

TEST_CASE("tensors are matched by name, totals run over all") {
  const FisherDiagonal a = diagonal({{"x", {2}, 0, 2}, {"y", {1}, 2, 1}}, {1, 2, 3});
  const FisherDiagonal b = diagonal({{"y", {1}, 0, 1}, {"x", {2}, 1, 2}}, {3, 1, 2});
  const FisherComparison result = compare_fisher(a, b);
  REQUIRE(result.tensors.size() == 2);
  REQUIRE(result.tensors[0].name == "x");
  REQUIRE(result.tensors[0].similarity.relative_error == 0);
  REQUIRE(result.total.relative_error == 0);
  REQUIRE(result.lambda_ratio == 1);
  REQUIRE(match_tensors(a.tensors(), b.tensors()) == std::vector<std::size_t>{1, 0});
}

TEST_CASE("missing, surplus and differently shaped tensors are errors") {
  const FisherDiagonal a = diagonal({{"x", {2}, 0, 2}}, {1, 2});
  REQUIRE_THROWS_AS(compare_fisher(a, diagonal({{"z", {2}, 0, 2}}, {1, 2})), DataError);
  REQUIRE_THROWS_AS(compare_fisher(a, diagonal({{"x", {2, 1}, 0, 2}}, {1, 2})), DataError);
  REQUIRE_THROWS_AS(compare_fisher(a, diagonal({{"x", {2}, 0, 2}, {"y", {1}, 2, 1}}, {1, 2, 3})), DataError);
  REQUIRE_THROWS_AS(compare_fisher(diagonal({{"x", {2}, 0, 2}, {"y", {1}, 2, 1}}, {1, 2, 3}), a), DataError);
}

TEST_CASE("quantiles are compared over all values, whatever tensor they are in") {
  const std::vector<ParameterTensor> tensors = {{"x", {3}, 0, 3}, {"y", {1}, 3, 1}};
  const FisherComparison result =
      compare_fisher(diagonal(tensors, {8, 2, 6, 4}), diagonal(tensors, {0, 1, 2, 16}));
  REQUIRE(result.quantiles.size() == 7);
  // Sorted: 2 4 6 8 and 0 1 2 16.
  REQUIRE(result.quantiles[0].level == 0.25);
  REQUIRE(result.quantiles[0].a == 2);
  REQUIRE(std::isnan(result.quantiles[0].ratio));
  REQUIRE(result.quantiles[1].ratio == 4);
  REQUIRE(result.quantiles[2].ratio == 3);
  REQUIRE(result.quantiles.back().level == 1);
  REQUIRE(result.quantiles.back().ratio == 0.5);
}
