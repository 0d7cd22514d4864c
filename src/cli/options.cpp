#include "cli/options.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "cli/errors.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/isa.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/io/atomic_file.hpp"

namespace fisherdiag::cli {

namespace {

constexpr std::size_t kMostThreads = 1024;
constexpr const char* kCommonGroup = "Common options";

/// The message of an ArgumentError about a command-line value, as the UsageError it is.
template <class Action>
auto as_usage(bool applies, Action action) {
  try {
    return action();
  } catch (const ArgumentError& error) {
    if (applies) throw UsageError(error.what());
    throw;
  }
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

CLI::Validator one_of(const std::vector<std::string>& names) {
  return CLI::IsMember(names).description("");
}

CLI::Validator whole_number(std::size_t least, std::size_t most) {
  const auto validate = [least, most](const std::string& text) -> std::string {
    std::size_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && stop == text.data() + text.size() && value >= least && value <= most)
      return {};
    return "'" + text + "' is not a whole number from " + std::to_string(least) + " to " +
           std::to_string(most);
  };
  return CLI::Validator(validate, "");
}

void add_common_options(CLI::App& verb, CommonOptions& options) {
  verb.add_flag("--json", options.json, "Print one JSON object on stdout")->group(kCommonGroup);
  verb.add_flag("-q,--quiet", options.quiet, "Say nothing on stderr but errors")->group(kCommonGroup);
  verb.add_option("--threads", options.threads, "Threads; default: what affinity and CPU quota give")
      ->check(whole_number(1, kMostThreads))
      ->type_name("N")
      ->group(kCommonGroup);
  verb.add_option("--isa", options.isa,
                  "baseline, avx2 or avx512; default: the strongest here, or FISHERDIAG_ISA")
      ->type_name("NAME")
      ->group(kCommonGroup);
}

Context make_context(const CommonOptions& options) {
  const Isa isa =
      as_usage(true, [&] { return options.isa.empty() ? default_isa() : require_isa(options.isa); });
  return Context(options.threads, isa);
}

std::string thread_reason(const CommonOptions& options) {
  if (options.threads) return "--threads";
  return default_threads() < affinity_cpus() ? "CPU quota" : "CPU affinity";
}

std::string describe(const Context& context, const CommonOptions& options) {
  return std::to_string(context.threads()) + (context.threads() == 1 ? " thread (" : " threads (") +
         thread_reason(options) + "), " + std::string(isa_name(context.isa()));
}

void add_likelihood_option(CLI::App& verb, std::string& likelihood) {
  verb.add_option("--likelihood", likelihood, "categorical, gaussian, bernoulli or poisson")
      ->check(one_of({"categorical", "gaussian", "bernoulli", "poisson"}))
      ->type_name("NAME")
      ->capture_default_str();
}

void add_model_options(CLI::App& verb, ModelOptions& options) {
  verb.add_option("--arch", options.arch,
                  "mlp:784-256-10[:relu|tanh|sigmoid], a preset such as lenet5, or a JSON file; default: "
                  "what the weights' metadata says")
      ->type_name("A");
  verb.add_option("--weights", options.weights, "Parameters, a safetensors file with PyTorch's keys")
      ->required()
      ->type_name("FILE");
  verb.add_option("--data", options.data,
                  "Samples: .npy, .npz[:NAME], IDX(.gz) or .csv; several as a list A,B or a quoted pattern "
                  "'part-*.npy'; "
                  "or fashion-mnist:train|test, mnist:train|test, synthetic:N")
      ->required()
      ->type_name("X");
  verb.add_option("--labels", options.labels,
                  "Targets, files in the same forms, where the data has none of its own")
      ->type_name("Y");
  add_likelihood_option(verb, options.likelihood);
}

void add_estimator_options(CLI::App& verb, EstimatorOptions& options) {
  verb.add_option("--estimator", options.estimator, "empirical, exact, mc, sketch, predicted or batched")
      ->check(one_of({"empirical", "exact", "mc", "sketch", "predicted", "batched"}))
      ->type_name("NAME")
      ->capture_default_str();
  verb.add_option("--mc-samples", options.draws, "Draws per sample of mc and sketch")
      ->check(whole_number(1, kMostPerSample))
      ->type_name("S")
      ->capture_default_str();
  verb.add_option("--seed", options.seed, "Key of every random draw")
      ->check(whole_number(0, kMostSeed))
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--batch-size", options.batch_size, "Samples whose gradients batched adds before squaring")
      ->check(whole_number(1, kMostPerSample))
      ->type_name("B")
      ->capture_default_str();
}

Architecture parse_architecture(const std::string& text) {
  return as_usage(text.starts_with("mlp:"), [&] { return Architecture::parse(text); });
}

Network load_network(const ModelOptions& options) {
  if (options.arch.empty()) return Network::load(options.weights);
  return Network::load(options.weights, parse_architecture(options.arch));
}

std::unique_ptr<Dataset> open_data(const std::string& data, const std::optional<std::string>& labels,
                                   const Architecture& architecture) {
  const bool named =
      data.starts_with("synthetic:") || data.starts_with("fashion-mnist:") || data.starts_with("mnist:");
  return as_usage(named, [&] {
    const Graph* graph = architecture.graph();
    return open_dataset(data, labels,
                        {architecture.inputs(), architecture.outputs(), graph ? graph->tokens() : 0,
                         architecture.positions()});
  });
}

void with_data_named(const std::string& data, const std::optional<std::string>& labels,
                     const std::function<void()>& action) {
  try {
    action();
  } catch (const DataError& error) {
    const std::string sentence = error.what();
    if (!sentence.starts_with("sample ")) throw;
    throw DataError(data + (labels ? " with labels " + *labels : "") + ": " + sentence);
  }
}

void check_output(const std::string& output, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(output, ignored) &&
        std::filesystem::equivalent(output, input, ignored))
      throw UsageError(output + " is both an input and the output");
  }
  require_writable(output);
}

namespace {

/// A figure and one of `units`; `kind` says in a message what is expected.
double parse_quantity(const std::string& text, const std::map<std::string, double>& units,
                      const std::string& kind) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  std::string unit = text.substr(digits);
  unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
  char* end = nullptr;
  const std::string figure = text.substr(0, digits);
  const double value = std::strtod(figure.c_str(), &end);
  const auto found = units.find(unit);
  if (figure.empty() || *end != '\0' || found == units.end())
    throw UsageError("'" + text + "' is not a " + kind);
  return value * found->second;
}

}  // namespace

double parse_seconds(const std::string& text) {
  static const std::map<std::string, double> kUnits = {{"", 1},     {"ms", 1e-3}, {"s", 1},
                                                       {"min", 60}, {"m", 60},    {"h", 3600}};
  return parse_quantity(text, kUnits, "time such as 30s or 10min");
}

std::size_t parse_bytes(const std::string& text) {
  static const std::map<std::string, double> kUnits = {
      {"", 1},      {"B", 1},        {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
      {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  constexpr double kMostBytes = 0x1p62;
  const double bytes = parse_quantity(text, kUnits, "size such as 2GiB or 500MB");
  if (!(bytes >= 1 && bytes <= kMostBytes)) throw UsageError("size '" + text + "' is out of range");
  return static_cast<std::size_t>(bytes);
}

std::optional<std::string> nearest(const std::string& word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kMostEdits = 2;
  std::optional<std::string> best;
  std::size_t least = kMostEdits + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t edits = edit_distance(word, candidate);
    const bool prefix = word.size() >= 2 && candidate.starts_with(word);
    if (!prefix && (edits >= least || edits * 2 > candidate.size())) continue;
    if (prefix && least == 0) continue;
    best = candidate;
    least = prefix ? 0 : edits;
  }
  return best;
}

}  // namespace fisherdiag::cli
