#include "fisherdiag/io/synthetic.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

constexpr SyntheticShape kShape{200, 10};

std::vector<float> inputs_of(Dataset& data, std::size_t first, std::size_t count) {
  std::vector<float> values(count * data.features());
  data.read_inputs(first, MatrixView<float>(values.data(), count, data.features()));
  return values;
}

std::vector<float> labels_of(Dataset& data, std::size_t first, std::size_t count) {
  std::vector<float> values(count);
  data.read_targets(first, MatrixView<float>(values.data(), count, 1));
  return values;
}

/// Mean input of each class over samples [0, count).
std::vector<std::vector<double>> class_means(Dataset& data, std::size_t count) {
  const std::vector<float> inputs = inputs_of(data, 0, count), labels = labels_of(data, 0, count);
  std::vector<std::vector<double>> means(kShape.classes, std::vector<double>(kShape.features));
  std::vector<double> members(kShape.classes);
  for (std::size_t n = 0; n < count; ++n) {
    const auto c = static_cast<std::size_t>(labels[n]);
    members[c] += 1;
    for (std::size_t i = 0; i < kShape.features; ++i) means[c][i] += double(inputs[n * kShape.features + i]);
  }
  for (std::size_t c = 0; c < kShape.classes; ++c)
    for (double& mean : means[c]) mean /= members[c];
  return means;
}

double squared_distance(const float* a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < b.size(); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return sum;
}

}  // namespace

TEST_CASE("synthetic: a sample depends on its number alone", "[synthetic]") {
  const auto small = io::make_synthetic(100, kShape, "synthetic:100");
  const auto large = io::make_synthetic(std::size_t{1} << 40, kShape, "large");
  REQUIRE(small->size() == 100);
  REQUIRE(large->size() == std::size_t{1} << 40);
  const std::vector<float> block = inputs_of(*small, 0, 100);
  for (const std::size_t n : {99u, 0u, 50u}) {
    const std::vector<float> one = inputs_of(*large, n, 1);
    REQUIRE(
        std::equal(one.begin(), one.end(), block.begin() + static_cast<std::ptrdiff_t>(n * kShape.features)));
    REQUIRE(labels_of(*large, n, 1)[0] == labels_of(*small, 0, 100)[n]);
  }
  REQUIRE(inputs_of(*large, (std::size_t{1} << 40) - 1, 1) != inputs_of(*large, 0, 1));
}

TEST_CASE("synthetic: values from 0 to 1, about half zero, classes balanced", "[synthetic]") {
  constexpr std::size_t kSamples = 5000;
  const auto data = io::make_synthetic(kSamples, kShape, "s");
  REQUIRE(data->target_kind() == TargetKind::Labels);
  const std::vector<float> inputs = inputs_of(*data, 0, kSamples), labels = labels_of(*data, 0, kSamples);
  REQUIRE(*std::min_element(inputs.begin(), inputs.end()) == 0.0f);
  REQUIRE(*std::max_element(inputs.begin(), inputs.end()) <= 1.0f);
  const auto zeros = static_cast<double>(std::count(inputs.begin(), inputs.end(), 0.0f));
  const double share = zeros / static_cast<double>(inputs.size());
  REQUIRE(share > 0.4);
  REQUIRE(share < 0.6);
  for (std::size_t c = 0; c < kShape.classes; ++c) {
    const auto members = static_cast<double>(std::count(labels.begin(), labels.end(), static_cast<float>(c)));
    // Binomial(5000, 1/10): mean 500, deviation 21.2; six deviations.
    REQUIRE(std::abs(members - 500) < 6 * 21.3);
  }
}

TEST_CASE("synthetic: it can be learnt, but not perfectly", "[synthetic]") {
  constexpr std::size_t kTrain = 2000, kTest = 2000;
  const auto data = io::make_synthetic(kTrain + kTest, kShape, "s");
  const auto means = class_means(*data, kTrain);
  const std::vector<float> inputs = inputs_of(*data, kTrain, kTest), labels = labels_of(*data, kTrain, kTest);
  std::size_t right = 0;
  for (std::size_t n = 0; n < kTest; ++n) {
    std::size_t best = 0;
    for (std::size_t c = 1; c < kShape.classes; ++c)
      if (squared_distance(&inputs[n * kShape.features], means[c]) <
          squared_distance(&inputs[n * kShape.features], means[best]))
        best = c;
    right += static_cast<float>(best) == labels[n] ? 1 : 0;
  }
  const double accuracy = static_cast<double>(right) / kTest;
  CAPTURE(accuracy);
  // The best possible is 1 - 1/11 = 0.909, and 2000 draws deviate by 0.0064: six deviations above it.
  REQUIRE(accuracy < 0.95);
  REQUIRE(accuracy > 0.7);
}

TEST_CASE("synthetic: one class, one feature, and none", "[synthetic]") {
  const auto single = io::make_synthetic(10, {1, 1}, "s");
  REQUIRE(labels_of(*single, 0, 10) == std::vector<float>(10, 0.0f));
  REQUIRE(single->features() == 1);
  require_error<ArgumentError>("s", "at least one", [] { io::make_synthetic(10, {0, 1}, "s"); });
  require_error<ArgumentError>("s", "at least one", [] { io::make_synthetic(10, {1, 0}, "s"); });
  require_error<DataError>("s", "no samples", [] { io::make_synthetic(0, {1, 1}, "s"); });
}

TEST_CASE("synthetic: tokens are followed by what the labels of next tokens say", "[synthetic]") {
  constexpr SyntheticShape kTokens{.features = 12, .classes = 30, .tokens = 30, .positions = 12};
  const auto data = io::make_synthetic(40, kTokens, "synthetic:40");
  REQUIRE(data->target_kind() == TargetKind::Values);
  REQUIRE(data->target_width() == 12);
  const std::vector<float> inputs = inputs_of(*data, 0, 40);
  std::vector<float> labels(40 * 12);
  data->read_targets(0, MatrixView<float>(labels.data(), 40, 12));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    REQUIRE(inputs[i] >= 0);
    REQUIRE(inputs[i] < 30);
    REQUIRE(inputs[i] == std::floor(inputs[i]));
    if (i % 12 != 11) REQUIRE(labels[i] == inputs[i + 1]);
  }
  CHECK(inputs_of(*data, 17, 1) == std::vector<float>(inputs.begin() + 17 * 12, inputs.begin() + 18 * 12));
}

TEST_CASE("synthetic: sequences of tokens have one class where one label is asked for", "[synthetic]") {
  const auto data = io::make_synthetic(200, {.features = 8, .classes = 3, .tokens = 50}, "synthetic:200");
  REQUIRE(data->target_kind() == TargetKind::Labels);
  const std::vector<float> labels = labels_of(*data, 0, 200);
  for (const float c : {0.0f, 1.0f, 2.0f}) CHECK(std::count(labels.begin(), labels.end(), c) > 30);
}

}  // namespace fisherdiag::test
