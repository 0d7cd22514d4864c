// What the worked examples share: their options, and the examples themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/options.hpp"

namespace fisherdiag::cli {

struct ToyOptions {
  CommonOptions common;
  std::string example;
  double sigma_h = 2;
  double sigma_b = 1;
  std::optional<double> prior;
  double theta1 = 1;
  double theta2 = 3;
  std::size_t draws = 100000;
  std::uint64_t seed = 1;
};

/// Hot dogs and buns; returns the exit code, kCheckFailed if the three routes disagree.
int toy_hotdog(const ToyOptions& options);
/// Three paths from one task's solution to another's; returns the exit code.
int toy_paths(const ToyOptions& options);

}  // namespace fisherdiag::cli
