// What fisherdiag continual is asked to do.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "cli/options.hpp"
#include "fisherdiag/train/study.hpp"

namespace fisherdiag::cli {

/// The words of the command line.
struct ContinualOptions {
  CommonOptions common;
  std::string tasks;
  std::string methods;
  std::string arch = "mlp:784-400-400-10";
  std::string lambdas;
  std::string lambda_from;
  std::optional<std::size_t> lambda_seeds;
  std::optional<std::size_t> subset;
  std::size_t seeds = 1;
  std::string select = "validation";
  std::string class_order = "seed";
  std::string optimizer_state = "keep";
  ContinualSettings settings;
  SampleSource task_a, task_b;
  std::string output;
};

void add_continual_options(CLI::App& verb, ContinualOptions& options);

/// Throw UsageError for words that cannot be meant.
StreamOptions stream_options(const ContinualOptions& options);
StudyPlan study_plan(const ContinualOptions& options);
ContinualSettings continual_settings(const ContinualOptions& options);

}  // namespace fisherdiag::cli
