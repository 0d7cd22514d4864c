// fisherdiag train: a network from scratch, good enough to be an anchor.
#include <map>
#include <optional>

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/penalty_options.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/train/metrics.hpp"
#include "fisherdiag/train/optimizer.hpp"
#include "fisherdiag/train/trainer.hpp"

namespace fisherdiag::cli {

namespace {

constexpr double kDefaultAdamRate = 1e-3;
constexpr double kDefaultSgdRate = 0.1;

struct TrainVerbOptions {
  CommonOptions common;
  std::string arch;
  std::string weights;
  PenaltyOptions penalty;
  std::string data;
  std::optional<std::string> labels;
  std::string test_data;
  std::optional<std::string> test_labels;
  std::string likelihood = "categorical";
  std::size_t epochs = 10;
  std::size_t batch_size = 128;
  std::string optimizer = "adam";
  std::optional<double> learning_rate;
  double momentum = 0;
  std::string schedule = "linear";
  std::uint64_t seed = 1;
  std::string output;
};

/// The loss of a sequence is a sum over its positions, to whose size Adam is blind.
double default_rate(const TrainVerbOptions& options, const Architecture& architecture) {
  if (options.optimizer != "sgd") return kDefaultAdamRate;
  return kDefaultSgdRate / static_cast<double>(architecture.positions());
}

OptimizerOptions optimizer_options(const TrainVerbOptions& options) {
  OptimizerOptions result;
  result.kind = options.optimizer == "sgd" ? OptimizerKind::Sgd : OptimizerKind::Adam;
  result.momentum = options.momentum;
  result.learning_rate = options.learning_rate.value_or(kDefaultAdamRate);
  if (result.kind == OptimizerKind::Adam && options.momentum != 0)
    throw UsageError("--momentum belongs to --optimizer sgd");
  if (!(result.learning_rate > 0)) throw UsageError("--learning-rate must be above 0");
  if (!(result.momentum >= 0 && result.momentum < 1))
    throw UsageError("--momentum must be at least 0 and below 1");
  return result;
}

void check_usage(const TrainVerbOptions& options) {
  optimizer_options(options);
  if (options.arch.empty() && options.weights.empty())
    throw UsageError("--arch is required, unless --weights bring theirs");
  const PenaltyOptions& penalty = options.penalty;
  check_penalty_usage(penalty);
  for (const CLI::Option* option : {penalty.lambda_option, penalty.form_option, penalty.gamma_option})
    if (penalty.anchors.empty() && option->count() > 0)
      throw UsageError(option->get_name() + " belongs to --anchor and --fisher");
  if (!penalty.anchors.empty() && penalty.lambda_option->count() == 0)
    throw UsageError("--anchor and --fisher need --lambda");
}

std::vector<std::string> inputs(const TrainVerbOptions& options) {
  std::vector<std::string> files = {options.arch, options.weights, options.data, options.test_data};
  for (const std::string& file : options.penalty.files()) files.push_back(file);
  if (options.labels) files.push_back(*options.labels);
  if (options.test_labels) files.push_back(*options.test_labels);
  return files;
}

Network first_network(const TrainVerbOptions& options) {
  if (options.weights.empty()) return Network::random(parse_architecture(options.arch), options.seed);
  ModelOptions model;
  model.arch = options.arch;
  model.weights = options.weights;
  return load_network(model);
}

TrainResult run_training(const TrainVerbOptions& options, Network& network, Dataset& data,
                         const EwcPenalty& penalty, const Context& context) {
  Optimizer optimizer(optimizer_options(options), network.architecture().parameter_count());
  TrainOptions request;
  request.likelihood = *likelihood_from_name(options.likelihood);
  request.epochs = options.epochs;
  request.batch_size = options.batch_size;
  request.seed = options.seed;
  request.penalty = penalty.tasks() > 0 ? &penalty : nullptr;
  request.schedule = options.schedule == "linear" ? RateSchedule::Linear : RateSchedule::Constant;
  Progress progress("training", "steps", options.common.quiet);
  request.progress = [&](const TrainProgress& state) {
    return progress.update(state.iteration, state.iterations, "loss " + number(state.loss));
  };
  return train(network, data, optimizer, request, context);
}

std::map<std::string, std::string> metadata(const TrainVerbOptions& options) {
  std::map<std::string, std::string> result{
      {"trained_on", options.data},
      {"epochs", std::to_string(options.epochs)},
      {"batch_size", std::to_string(options.batch_size)},
      {"optimizer", options.optimizer},
      {"learning_rate", Json(optimizer_options(options).learning_rate).dump()},
      {"schedule", options.schedule},
      {"likelihood", options.likelihood},
      {"seed", std::to_string(options.seed)},
      {"version", std::string(version())}};
  if (!options.weights.empty()) result["started_from"] = options.weights;
  if (options.penalty.anchors.empty()) return result;
  result["ewc_lambda"] = Json(options.penalty.lambda).dump();
  result["ewc_form"] = options.penalty.form;
  result["ewc_tasks"] = std::to_string(options.penalty.anchors.size());
  return result;
}

/// What training found out.
struct Outcome {
  TrainResult result;
  std::optional<Evaluation> test;
  std::optional<double> penalty;
};

Json to_json(const TrainVerbOptions& options, const Network& network, const Outcome& outcome,
             const Context& context) {
  const TrainResult& result = outcome.result;
  const std::optional<Evaluation>& test = outcome.test;
  const bool sequences = network.architecture().positions() > 1;
  Json json = Json::object();
  json["test_accuracy"] = test && test->accuracy ? Json(*test->accuracy) : Json(nullptr);
  json["test_nll"] = test ? Json(test->nll) : Json(nullptr);
  json["test_nll_per_token"] = test && sequences ? Json(test->nll_per_target()) : Json(nullptr);
  json["train_loss"] = result.loss;
  json["penalty"] = outcome.penalty ? Json(*outcome.penalty) : Json(nullptr);
  json["lambda"] = outcome.penalty ? Json(options.penalty.lambda) : Json(nullptr);
  json["form"] = outcome.penalty ? Json(options.penalty.form) : Json(nullptr);
  json["seconds"] = result.seconds;
  json["samples_per_second"] = result.seconds > 0 ? static_cast<double>(result.samples) / result.seconds : 0;
  json["epochs"] = options.epochs;
  json["iterations"] = result.iterations;
  json["batch_size"] = options.batch_size;
  json["optimizer"] = options.optimizer;
  json["learning_rate"] = optimizer_options(options).learning_rate;
  json["schedule"] = options.schedule;
  json["likelihood"] = options.likelihood;
  json["seed"] = options.seed;
  json["parameters"] = network.architecture().parameter_count();
  json["positions"] = network.architecture().positions();
  json["weights"] = options.weights.empty() ? Json(nullptr) : Json(options.weights);
  json["weights_sha256"] = network.sha256();
  json["threads"] = context.threads();
  json["isa"] = isa_name(context.isa());
  json["peak_rss_bytes"] = peak_rss_bytes();
  json["data"] = options.data;
  json["test_data"] = options.test_data.empty() ? Json(nullptr) : Json(options.test_data);
  json["output"] = options.output.empty() ? Json(nullptr) : Json(options.output);
  json["version"] = version();
  return json;
}

std::string to_text(const TrainVerbOptions& options, const Network& network, const Outcome& outcome) {
  const bool sequences = network.architecture().positions() > 1;
  const std::string nats = sequences ? " nats a sequence" : " nats";
  const std::optional<Evaluation>& test = outcome.test;
  std::string text = "trained  " + grouped(outcome.result.iterations) + " steps in " +
                     duration(outcome.result.seconds) + ", loss " + number(outcome.result.loss) + nats + "\n";
  if (outcome.penalty) text += "penalty  " + number(*outcome.penalty) + " nats\n";
  if (test) text += "test     nll " + number(test->nll) + nats;
  if (test && sequences) text += ", " + number(test->nll_per_target()) + " a token";
  if (test && test->accuracy)
    text += ", accuracy " + number(100 * *test->accuracy) + (sequences ? "% of tokens" : "%");
  if (test) text += "\n";
  return text + (options.output.empty() ? "nothing written; -o FILE saves the weights\n"
                                        : "written  " + options.output + "\n");
}

int train_network(TrainVerbOptions options) {
  check_usage(options);
  const Context context = make_context(options.common);
  Network network = first_network(options);
  const Architecture& architecture = network.architecture();
  if (!options.learning_rate) options.learning_rate = default_rate(options, architecture);
  if (!options.output.empty()) check_output(options.output, inputs(options));
  const EwcPenalty penalty = read_penalty(options.penalty, architecture.parameters());
  const std::unique_ptr<Dataset> data = open_data(options.data, options.labels, architecture);
  // Opened before training, so that a wrong name does not cost the time of it.
  const std::unique_ptr<Dataset> test_data =
      options.test_data.empty() ? nullptr : open_data(options.test_data, options.test_labels, architecture);
  if (!options.common.quiet)
    print_note(architecture.summary() + ", " + grouped(data->size()) + " samples, " +
               describe(context, options.common));

  Outcome outcome;
  with_data_named(options.data, options.labels,
                  [&] { outcome.result = run_training(options, network, *data, penalty, context); });
  if (penalty.tasks() > 0) outcome.penalty = penalty.value(network.parameters(), context);
  if (test_data)
    with_data_named(options.test_data, options.test_labels, [&] {
      outcome.test = evaluate(network, *test_data, *likelihood_from_name(options.likelihood), context);
    });
  throw_if_interrupted();
  if (!options.output.empty()) network.save(options.output, metadata(options));
  if (options.common.json)
    print_json(to_json(options, network, outcome, context));
  else
    print(to_text(options, network, outcome));
  return kDone;
}

void add_data_options(CLI::App& verb, TrainVerbOptions& options) {
  verb.add_option("--arch", options.arch,
                  "mlp:784-256-10[:relu|tanh|sigmoid], a preset such as lenet5, or a JSON file; default: "
                  "what the metadata of --weights says")
      ->type_name("A");
  verb.add_option("--weights", options.weights, "Start from these parameters; default: random ones")
      ->type_name("FILE");
  verb.add_option(
          "--data", options.data,
          "Training samples: a .npy or IDX(.gz) file, fashion-mnist:train, mnist:train or synthetic:N")
      ->required()
      ->type_name("X");
  verb.add_option("--labels", options.labels, "Their targets, where the data has none of its own")
      ->type_name("Y");
  CLI::Option* test =
      verb.add_option("--test-data", options.test_data, "Samples to measure the result on")->type_name("Z");
  verb.add_option("--test-labels", options.test_labels, "Their targets")->needs(test)->type_name("V");
  add_likelihood_option(verb, options.likelihood);
}

}  // namespace

Run add_train(CLI::App& verb) {
  const auto options = std::make_shared<TrainVerbOptions>();
  verb.footer(
      "  fisherdiag train --arch mlp:784-256-256-10 --data fashion-mnist:train --test-data "
      "fashion-mnist:test \\\n"
      "      -o W.safetensors\n"
      "  fisherdiag train --arch mlp:20-64-3:tanh --data X.npy --labels Y.npy --optimizer sgd --momentum 0.9 "
      "\\\n"
      "      --epochs 20 -o W.safetensors --json\n"
      "  fisherdiag train --weights W.safetensors --data B.npy --labels Y.npy --anchor W.safetensors \\\n"
      "      --fisher F.safetensors --lambda 1000 -o W2.safetensors");
  add_data_options(verb, *options);
  verb.add_option("--epochs", options->epochs, "Times through the data")
      ->check(whole_number(1, kMostCount))
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--batch-size", options->batch_size, "Samples per step")
      ->check(whole_number(1, kMostPerSample))
      ->type_name("B")
      ->capture_default_str();
  verb.add_option("--optimizer", options->optimizer, "adam or sgd")
      ->check(one_of({"adam", "sgd"}))
      ->type_name("NAME")
      ->capture_default_str();
  verb.add_option("--learning-rate", options->learning_rate,
                  "Default: 0.001 for adam, 0.1 / positions of a sequence for sgd")
      ->type_name("R");
  verb.add_option("--schedule", options->schedule, "Of the learning rate: linear (down to 0) or constant")
      ->check(one_of({"linear", "constant"}))
      ->type_name("HOW")
      ->capture_default_str();
  verb.add_option("--momentum", options->momentum, "Of sgd")->type_name("M")->capture_default_str();
  verb.add_option("--seed", options->seed, "Of the first parameters and the order of samples")
      ->check(whole_number(0, kMostSeed))
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("-o,--output", options->output,
                  "Write the weights here: a safetensors file with PyTorch's keys")
      ->type_name("FILE");
  add_penalty_options(verb, options->penalty, "EWC penalty");
  add_common_options(verb, options->common);
  return [options] { return train_network(*options); };
}

}  // namespace fisherdiag::cli
