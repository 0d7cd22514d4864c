// Drawing samples with unequal probabilities (docs/sampling.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fisherdiag {

/// What a forward pass tells about each sample.
struct SampleScores {
  std::vector<float> norms;           ///< >= 0: how much the sample should count
  std::vector<std::uint64_t> strata;  ///< samples of a stratum have gradients alike
};

/// Share of the uniform distribution in the probabilities: no sample's weight exceeds 1 / (kUniformShare n /
/// N).
inline constexpr double kUniformShare = 0.1;

/// Probability of each of N samples to be among `count` <= N: min(1, c p_n) with p_n = (1 - kUniformShare)
/// norms_n / sum(norms) + kUniformShare / N and the c for which they sum to `count`. If all norms are 0, p_n
/// = 1 / N.
std::vector<double> inclusion_probabilities(std::span<const float> norms, std::size_t count);

/// One draw of `count` different samples.
struct DrawnSamples {
  std::vector<std::uint64_t> samples;  ///< ascending
  std::vector<double> inclusion;       ///< probability of each to be drawn
  std::vector<std::size_t>
      order;  ///< places in `samples` of those with inclusion < 1, in the order of the design
};

/// The ordered pivotal method (Deville and Tille 1998, Chauvet 2012): exactly `count` samples, each with
/// exactly its inclusion probability.
///
/// Samples stand in line by stratum, norm, index; from the front, two at a time decide by lot which of them
/// takes over the other's probability, until one is in or out. So every stretch of the line with
/// probabilities that sum to m has m samples drawn but for less than 2: every stratum and every range of
/// norms in it is represented in proportion.
class ImportanceDesign {
 public:
  explicit ImportanceDesign(SampleScores scores);

  /// Depends on (count, seed, round) only; draws of different rounds are independent.
  DrawnSamples draw(std::size_t count, std::uint64_t seed, std::uint64_t round) const;

  /// Most memory at a time, `scores` included.
  static std::size_t bytes(std::size_t samples) { return samples * 20; }

 private:
  std::vector<float> norms_;
  std::vector<std::uint64_t> order_;
};

}  // namespace fisherdiag
