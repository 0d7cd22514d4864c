// Options that say what an EWC penalty is made of.
#pragma once

#include <string>
#include <vector>

#include "cli/options.hpp"
#include "fisherdiag/ewc/penalty.hpp"
#include "fisherdiag/nn/parameter_tensor.hpp"

namespace fisherdiag::cli {

struct PenaltyOptions {
  std::vector<std::string> anchors;
  std::vector<std::string> fishers;
  double lambda = 1;
  std::string form = "separate";
  double gamma = 1;
  /// Of add_penalty_options, to see what was given.
  CLI::Option *lambda_option = nullptr, *form_option = nullptr, *gamma_option = nullptr;

  /// Every file that is read.
  std::vector<std::string> files() const;
};

/// --anchor, --fisher, --lambda, --form and --gamma. `group`: empty, or their own in --help.
void add_penalty_options(CLI::App& verb, PenaltyOptions& options, const std::string& group);

/// Throws UsageError for files that are no pairs and numbers out of range.
void check_penalty_usage(const PenaltyOptions& options);

/// The penalty of all tasks, for parameters of these names and shapes. Throws DataError naming a file that
/// does not fit or holds what is no Fisher diagonal; IoError, FormatError; InterruptedError.
EwcPenalty read_penalty(const PenaltyOptions& options, const std::vector<ParameterTensor>& tensors);

}  // namespace fisherdiag::cli
