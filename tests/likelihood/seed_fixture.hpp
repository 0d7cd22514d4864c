// Seeds of a small block as the tests want to read them.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/likelihood/seeds.hpp"
#include "reference/likelihood_reference.hpp"

namespace test {

using fisherdiag::reference::Vector;
using Rows = std::vector<std::vector<float>>;

inline const std::vector<fisherdiag::Likelihood> kLikelihoods{
    fisherdiag::Likelihood::Categorical, fisherdiag::Likelihood::Gaussian, fisherdiag::Likelihood::Bernoulli,
    fisherdiag::Likelihood::Poisson};

inline std::vector<float> flatten(const Rows& rows) {
  std::vector<float> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return flat;
}

inline fisherdiag::MatrixView<const float> view(const std::vector<float>& flat, std::size_t rows) {
  return {flat.data(), rows, rows ? flat.size() / rows : 0};
}

inline std::vector<std::uint64_t> indices_from(std::uint64_t first, std::size_t count) {
  std::vector<std::uint64_t> indices(count);
  std::iota(indices.begin(), indices.end(), first);
  return indices;
}

/// A prepared block over rows of logits; sample r has index `first + r`.
inline fisherdiag::SeedBlock prepared(const fisherdiag::Estimator& estimator,
                                      fisherdiag::Likelihood likelihood, const Rows& logits,
                                      const Rows& targets, fisherdiag::Isa isa, std::uint64_t first = 0) {
  fisherdiag::SeedBlock block(estimator, likelihood, logits.front().size(),
                              fisherdiag::kernels::kernel_table(isa));
  const std::vector<float> z = flatten(logits), y = flatten(targets);
  block.prepare(view(z, logits.size()), view(y, targets.size()), indices_from(first, logits.size()));
  return block;
}

/// Column k of the seeds, [rows, outputs] flat.
inline std::vector<float> column(const fisherdiag::SeedBlock& block, std::size_t k, std::size_t rows,
                                 std::size_t outputs) {
  std::vector<float> seeds(rows * outputs, std::nanf(""));
  block.write(k, {seeds.data(), rows, outputs});
  return seeds;
}

inline std::vector<float> squares(const fisherdiag::SeedBlock& block, std::size_t rows, std::size_t outputs) {
  std::vector<float> result(rows * outputs, std::nanf(""));
  block.write_squares({result.data(), rows, outputs});
  return result;
}

inline Vector to_double(const std::vector<float>& values) {
  return Vector(values.begin(), values.end());
}

/// Logits uniform in [-spread, spread].
inline Rows random_logits(std::size_t rows, std::size_t outputs, double spread, std::uint64_t seed) {
  Rows logits(rows, std::vector<float>(outputs));
  fisherdiag::RandomStream random(seed, fisherdiag::random_stream::kTest, 0);
  for (auto& row : logits)
    for (float& z : row) z = static_cast<float>(spread * (2 * random.next_uniform() - 1));
  return logits;
}

/// Targets the likelihood accepts.
inline Rows random_targets(fisherdiag::Likelihood likelihood, std::size_t rows, std::size_t outputs,
                           std::uint64_t seed) {
  const bool labels = likelihood == fisherdiag::Likelihood::Categorical;
  Rows targets(rows, std::vector<float>(labels ? 1 : outputs));
  fisherdiag::RandomStream random(seed, fisherdiag::random_stream::kTest, 1);
  for (auto& row : targets)
    for (float& y : row) {
      if (labels) y = static_cast<float>(random.next_below(outputs));
      if (likelihood == fisherdiag::Likelihood::Gaussian) y = static_cast<float>(random.next_normal());
      if (likelihood == fisherdiag::Likelihood::Bernoulli) y = static_cast<float>(random.next_below(2));
      if (likelihood == fisherdiag::Likelihood::Poisson) y = static_cast<float>(random.next_below(5));
    }
  return targets;
}

}  // namespace test
