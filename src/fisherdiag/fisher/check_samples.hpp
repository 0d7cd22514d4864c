// The few samples a check looks at. Internal to fisher/check.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "fisherdiag/fisher/check.hpp"

namespace fisherdiag {

struct CheckSamples {
  std::size_t count = 0;
  std::size_t at_corners = 0;  ///< chosen, but left out (CheckReport::samples_at_corners)
  std::size_t features = 0;
  std::size_t target_width = 0;  ///< 0: no targets the likelihood has a use for
  TargetKind kind = TargetKind::None;
  std::vector<float> inputs;   // [count, features]
  std::vector<float> targets;  // [count, target_width]

  const float* input(std::size_t n) const { return inputs.data() + n * features; }
  const float* target(std::size_t n) const {
    return targets.empty() ? nullptr : targets.data() + n * target_width;
  }
  std::unique_ptr<Dataset> as_dataset(const std::string& name) const;
};

/// Reads options.samples samples spread evenly over `data`, which must fit the network.
/// Errors: ArgumentError (features differ, no samples, targets the estimator needs are missing), DataError (a
/// label outside the classes, no sample left), and what reading throws.
CheckSamples read_check_samples(const Network& network, Dataset& data, const CheckOptions& options);

}  // namespace fisherdiag
