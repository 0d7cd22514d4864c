// fisherdiag penalty: lambda/2 * sum F (theta - theta*)^2 over one or more tasks, and its gradient.
#include "fisherdiag/ewc/penalty.hpp"

#include <cmath>
#include <span>

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/parameter_file.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag::cli {

namespace {

struct PenaltyOptions {
  CommonOptions common;
  std::string weights;
  std::vector<std::string> anchors;
  std::vector<std::string> fishers;
  double lambda = 1;
  std::string form = "separate";
  double gamma = 1;
  bool gamma_given = false;
  std::string gradient;
};

PenaltyForm parsed_form(const std::string& name) {
  if (name == "merged") return PenaltyForm::Merged;
  return name == "online" ? PenaltyForm::Online : PenaltyForm::Separate;
}

void check_usage(const PenaltyOptions& options) {
  if (options.anchors.size() != options.fishers.size())
    throw UsageError("--anchor and --fisher come in pairs, but there are " +
                     std::to_string(options.anchors.size()) + " and " +
                     std::to_string(options.fishers.size()));
  if (!(options.lambda >= 0) || !std::isfinite(options.lambda))
    throw UsageError("--lambda must be finite and not negative");
  if (options.gamma_given && options.form != "online") throw UsageError("--gamma belongs to --form online");
  if (!(options.gamma > 0 && options.gamma <= 1)) throw UsageError("--gamma must be above 0 and at most 1");
  if (options.gradient.empty()) return;
  std::vector<std::string> inputs = options.anchors;
  inputs.insert(inputs.end(), options.fishers.begin(), options.fishers.end());
  inputs.push_back(options.weights);
  check_output(options.gradient, inputs);
}

EwcPenalty read_tasks(const PenaltyOptions& options, const std::vector<ParameterTensor>& tensors) {
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

void write_gradient(const PenaltyOptions& options, const ParameterFile& weights,
                    std::span<const float> gradient) {
  std::vector<TensorView> views;
  for (const ParameterTensor& tensor : weights.tensors)
    views.push_back({tensor.name, tensor.shape, gradient.subspan(tensor.offset, tensor.size)});
  write_safetensors(options.gradient, views,
                    {{"quantity", "gradient of the EWC penalty"},
                     {"form", options.form},
                     {"lambda", Json(options.lambda).dump()},
                     {"version", std::string(version())}});
}

double norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

int penalty(const PenaltyOptions& options) {
  check_usage(options);
  const Context context = make_context(options.common);
  const ParameterFile weights = read_parameters(options.weights);
  const EwcPenalty ewc = read_tasks(options, weights.tensors);
  AlignedBuffer<float> gradient(options.gradient.empty() ? 0 : weights.values.size());
  const double value = gradient.empty() ? ewc.value(weights.values, context)
                                        : ewc.value_and_add_gradient(weights.values, gradient, context);
  throw_if_interrupted();
  if (!options.gradient.empty()) write_gradient(options, weights, {gradient.data(), gradient.size()});
  if (!options.common.json) {
    print("penalty " + Json(value).dump() + "\n");
    return kDone;
  }
  Json json = Json::object();
  json["penalty"] = value;
  json["lambda"] = options.lambda;
  json["form"] = options.form;
  json["gamma"] = options.form == "online" ? Json(options.gamma) : Json(nullptr);
  json["tasks"] = ewc.tasks();
  json["parameters"] = weights.values.size();
  json["gradient_norm"] =
      options.gradient.empty() ? Json(nullptr) : Json(norm({gradient.data(), gradient.size()}));
  json["output"] = options.gradient.empty() ? Json(nullptr) : Json(options.gradient);
  json["threads"] = context.threads();
  json["isa"] = isa_name(context.isa());
  json["version"] = version();
  print_json(json);
  return kDone;
}

}  // namespace

Run add_penalty(CLI::App& verb) {
  const auto options = std::make_shared<PenaltyOptions>();
  verb.footer(
      "  fisherdiag penalty --weights W.safetensors --anchor W0.safetensors --fisher F0.safetensors --lambda "
      "1000\n"
      "  fisherdiag penalty --weights W.safetensors --anchor W0.safetensors --fisher F0.safetensors \\\n"
      "      --anchor W1.safetensors --fisher F1.safetensors --lambda 1000 --form online --gamma 0.9 \\\n"
      "      --grad-out G.safetensors");
  verb.add_option("--weights", options->weights, "Parameters theta to be penalised")
      ->required()
      ->type_name("FILE");
  verb.add_option("--anchor", options->anchors, "Parameters theta* after a task; once per task, in order")
      ->required()
      ->type_name("FILE");
  verb.add_option("--fisher", options->fishers, "Fisher diagonal at that anchor; once per task, in order")
      ->required()
      ->type_name("FILE");
  verb.add_option("--lambda", options->lambda, "Strength: the penalty is lambda/2 * sum F (theta - theta*)^2")
      ->required()
      ->type_name("L");
  verb.add_option("--form", options->form, "separate, merged or online")
      ->check(one_of({"separate", "merged", "online"}))
      ->type_name("NAME")
      ->capture_default_str();
  CLI::Option* gamma = verb.add_option("--gamma", options->gamma, "online: F <- gamma F_old + F_new")
                           ->type_name("G")
                           ->capture_default_str();
  verb.add_option("--grad-out", options->gradient, "Write the gradient here, keys as the weights")
      ->type_name("FILE");
  add_common_options(verb, options->common);
  return [options, gamma] {
    options->gamma_given = gamma->count() > 0;
    return penalty(*options);
  };
}

}  // namespace fisherdiag::cli
