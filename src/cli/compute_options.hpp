// What `compute` is asked for; `plan` takes the same words.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.hpp"
#include "fisherdiag/fisher/compute.hpp"

namespace fisherdiag::cli {

struct ComputeOptions {
  CommonOptions common;
  ModelOptions model;
  EstimatorOptions estimator;
  std::string normalization = "mean";
  std::string likelihood_unit = "sequence";
  std::string precision = "float32";
  std::string zeros = "skip";
  std::optional<std::size_t> max_samples;
  std::string subset;
  std::optional<double> until;
  std::string max_memory;
  std::string shard;
  std::string checkpoint;
  std::string checkpoint_every = "30s";
  bool resume = false;
  bool standard_error = false;
  std::string output;
  bool force = false;
  bool profile = false;
  std::string trace;
};

void add_compute_options(CLI::App& verb, ComputeOptions& options);

/// The request without progress, profile and memory in use. Throws UsageError.
FisherOptions fisher_options(const ComputeOptions& options);

/// The files a computation reads.
std::vector<std::string> input_files(const ModelOptions& model);

}  // namespace fisherdiag::cli
