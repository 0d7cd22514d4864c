// Options that several verbs share, and what they turn into.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/likelihood/estimator.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag::cli {

/// --json --quiet --threads --isa, which every verb has.
struct CommonOptions {
  bool json = false;
  bool quiet = false;
  int threads = 0;  ///< 0: default_threads()
  std::string isa;  ///< empty: default_isa()
};

void add_common_options(CLI::App& verb, CommonOptions& options);

/// Throws UsageError for an instruction set this machine lacks.
Context make_context(const CommonOptions& options);

/// "2 threads (CPU affinity), avx512": how many, why, and with what.
std::string describe(const Context& context, const CommonOptions& options);
/// "--threads", "CPU affinity" or "CPU quota".
std::string thread_reason(const CommonOptions& options);

/// --arch --weights --data --labels --likelihood.
struct ModelOptions {
  std::string arch;  ///< empty: from the weights' metadata
  std::string weights;
  std::string data;
  std::optional<std::string> labels;
  std::string likelihood = "categorical";

  Likelihood parsed_likelihood() const { return *likelihood_from_name(likelihood); }
};

void add_likelihood_option(CLI::App& verb, std::string& likelihood);
void add_model_options(CLI::App& verb, ModelOptions& options);

/// --estimator --mc-samples --seed --batch-size.
struct EstimatorOptions {
  std::string estimator = "empirical";
  std::size_t draws = 1;
  std::uint64_t seed = 1;
  std::size_t batch_size = 128;

  Estimator parsed() const { return {*estimator_from_name(estimator), draws, seed, batch_size}; }
};

void add_estimator_options(CLI::App& verb, EstimatorOptions& options);

/// Largest values accepted on the command line: of draws or batch samples, and of everything else that is
/// counted.
inline constexpr std::size_t kMostPerSample = std::size_t{1} << 20;
inline constexpr std::size_t kMostCount = std::size_t{1} << 48;
inline constexpr std::size_t kMostSeed = std::numeric_limits<std::size_t>::max();

/// Validators that --help does not spell out again.
CLI::Validator one_of(const std::vector<std::string>& names);
CLI::Validator whole_number(std::size_t least, std::size_t most);

/// Architecture::parse; a malformed `mlp:` is a UsageError.
Architecture parse_architecture(const std::string& text);
Network load_network(const ModelOptions& options);
/// open_dataset; a malformed `synthetic:` or `fashion-mnist:` is a UsageError.
std::unique_ptr<Dataset> open_data(const std::string& data, const std::optional<std::string>& labels,
                                   const Architecture& architecture);

/// Runs `action`; a DataError about a sample that does not say whose it is gets the names of data and labels
/// put before it.
void with_data_named(const std::string& data, const std::optional<std::string>& labels,
                     const std::function<void()>& action);

/// Checks, before any work, that `output` can be written and is none of `inputs`. Throws IoError, UsageError.
void check_output(const std::string& output, const std::vector<std::string>& inputs);

/// "2GiB", "500 MB", "1048576": bytes. Throws UsageError.
std::size_t parse_bytes(const std::string& text);

/// "30s", "10min", "1.5h", "500ms", "30": seconds. Throws UsageError.
double parse_seconds(const std::string& text);

/// The candidate nearest to `word` if it looks like a typing error, else nothing.
std::optional<std::string> nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace fisherdiag::cli
