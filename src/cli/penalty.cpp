// fisherdiag penalty: lambda/2 * sum F (theta - theta*)^2 over one or more tasks, and its gradient.
#include "fisherdiag/ewc/penalty.hpp"

#include <cmath>
#include <span>

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/parameter_file.hpp"
#include "cli/penalty_options.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/io/safetensors.hpp"

namespace fisherdiag::cli {

namespace {

struct PenaltyVerbOptions {
  CommonOptions common;
  PenaltyOptions penalty;
  std::string weights;
  std::string gradient;
};

void check_usage(const PenaltyVerbOptions& options) {
  check_penalty_usage(options.penalty);
  if (options.gradient.empty()) return;
  std::vector<std::string> inputs = options.penalty.files();
  inputs.push_back(options.weights);
  check_output(options.gradient, inputs);
}

void write_gradient(const PenaltyVerbOptions& options, const ParameterFile& weights,
                    std::span<const float> gradient) {
  std::vector<TensorView> views;
  for (const ParameterTensor& tensor : weights.tensors)
    views.push_back({tensor.name, tensor.shape, gradient.subspan(tensor.offset, tensor.size)});
  write_safetensors(options.gradient, views,
                    {{"quantity", "gradient of the EWC penalty"},
                     {"form", options.penalty.form},
                     {"lambda", Json(options.penalty.lambda).dump()},
                     {"version", std::string(version())}});
}

double norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

int penalty(const PenaltyVerbOptions& options) {
  check_usage(options);
  const Context context = make_context(options.common);
  const ParameterFile weights = read_parameters(options.weights);
  const EwcPenalty ewc = read_penalty(options.penalty, weights.tensors);
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
  json["lambda"] = options.penalty.lambda;
  json["form"] = options.penalty.form;
  json["gamma"] = options.penalty.form == "online" ? Json(options.penalty.gamma) : Json(nullptr);
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
  const auto options = std::make_shared<PenaltyVerbOptions>();
  verb.footer(
      "  fisherdiag penalty --weights W.safetensors --anchor W0.safetensors --fisher F0.safetensors --lambda "
      "1000\n"
      "  fisherdiag penalty --weights W.safetensors --anchor W0.safetensors --fisher F0.safetensors \\\n"
      "      --anchor W1.safetensors --fisher F1.safetensors --lambda 1000 --form online --gamma 0.9 \\\n"
      "      --grad-out G.safetensors");
  verb.add_option("--weights", options->weights, "Parameters theta to be penalised")
      ->required()
      ->type_name("FILE");
  add_penalty_options(verb, options->penalty, "");
  for (const char* name : {"--anchor", "--fisher", "--lambda"}) verb.get_option(name)->required();
  verb.add_option("--grad-out", options->gradient, "Write the gradient here, keys as the weights")
      ->type_name("FILE");
  add_common_options(verb, options->common);
  return [options] { return penalty(*options); };
}

}  // namespace fisherdiag::cli
