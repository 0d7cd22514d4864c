// Where an estimator's seeds come from. Internal to likelihood/: a new estimator is a class in
// seed_sources.cpp, a line in make_seed_source and a name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/output_model.hpp"

namespace fisherdiag::detail {

/// The seeds s_{n,k} of a prepared block, k = 0 .. columns-1.
class SeedSource {
 public:
  virtual ~SeedSource() = default;

  /// Keeps what write() needs; the model has taken the block in. Allocates only if rows grow.
  virtual void prepare(OutputModel& model, MatrixView<const float> targets,
                       std::span<const std::uint64_t> samples) = 0;
  virtual void write(const OutputModel& model, std::size_t k, MatrixView<float> seeds) const = 0;
  /// True if sum_k s_k s_k^T is the covariance of d nll / dz, so that its diagonal needs no seeds.
  virtual bool is_exact() const { return false; }
};

/// `positions`: rows of one sample, which follow each other.
std::unique_ptr<SeedSource> make_seed_source(const Estimator& estimator, std::size_t positions);

}  // namespace fisherdiag::detail
