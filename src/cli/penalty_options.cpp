#include "cli/penalty_options.hpp"

#include <cmath>

#include "cli/errors.hpp"
#include "cli/parameter_file.hpp"
#include "cli/signals.hpp"
#include "fisherdiag/base/error.hpp"

namespace fisherdiag::cli {

namespace {

PenaltyForm parsed_form(const std::string& name) {
  if (name == "merged") return PenaltyForm::Merged;
  return name == "online" ? PenaltyForm::Online : PenaltyForm::Separate;
}

}  // namespace

std::vector<std::string> PenaltyOptions::files() const {
  std::vector<std::string> all = anchors;
  all.insert(all.end(), fishers.begin(), fishers.end());
  return all;
}

void add_penalty_options(CLI::App& verb, PenaltyOptions& options, const std::string& group) {
  const auto add = [&](const std::string& name, auto& value, const std::string& text,
                       const std::string& type) {
    CLI::Option* option = verb.add_option(name, value, text)->type_name(type);
    return group.empty() ? option : option->group(group);
  };
  add("--anchor", options.anchors, "Parameters theta* after a task; once per task, in order", "FILE");
  add("--fisher", options.fishers, "Fisher diagonal at that anchor; once per task, in order", "FILE");
  options.lambda_option =
      add("--lambda", options.lambda, "Strength: the penalty is lambda/2 * sum F (theta - theta*)^2", "L");
  options.form_option = add("--form", options.form, "separate, merged or online", "NAME")
                            ->check(one_of({"separate", "merged", "online"}))
                            ->capture_default_str();
  options.gamma_option =
      add("--gamma", options.gamma, "online: F <- gamma F_old + F_new", "G")->capture_default_str();
}

void check_penalty_usage(const PenaltyOptions& options) {
  if (options.anchors.size() != options.fishers.size())
    throw UsageError("--anchor and --fisher come in pairs, but there are " +
                     std::to_string(options.anchors.size()) + " and " +
                     std::to_string(options.fishers.size()));
  if (!(options.lambda >= 0) || !std::isfinite(options.lambda))
    throw UsageError("--lambda must be finite and not negative");
  if (options.gamma_option->count() > 0 && options.form != "online")
    throw UsageError("--gamma belongs to --form online");
  if (!(options.gamma > 0 && options.gamma <= 1)) throw UsageError("--gamma must be above 0 and at most 1");
}

EwcPenalty read_penalty(const PenaltyOptions& options, const std::vector<ParameterTensor>& tensors) {
  EwcPenalty penalty(parsed_form(options.form), options.lambda, options.gamma);
  for (std::size_t task = 0; task < options.anchors.size(); ++task) {
    const ParameterFile anchor = read_parameters(options.anchors[task], &tensors);
    const ParameterFile fisher = read_parameters(options.fishers[task], &tensors);
    throw_if_interrupted();
    try {
      penalty.add_task(anchor.values, fisher.values);
    } catch (const DataError& error) {
      throw DataError(options.fishers[task] + ": " + error.what());
    }
  }
  return penalty;
}

}  // namespace fisherdiag::cli
