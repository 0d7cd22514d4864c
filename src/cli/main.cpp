// fisherdiag VERB ...: finds the verb, parses its options, runs it, maps errors to exit codes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "cli/errors.hpp"
#include "cli/help.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/isa.hpp"
#include "fisherdiag/base/version.hpp"

namespace fisherdiag::cli {

namespace {

struct Verb {
  std::string name;
  std::string summary;
  Run (*add)(CLI::App&);
};

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> kVerbs = {
      {"compute", "Fisher diagonal of a network on a dataset", add_compute},
      {"plan", "Time and memory of a compute before it runs", add_plan},
      {"check", "Compare the engine with a double-precision reference on your model and data", add_check},
      {"penalty", "EWC penalty of weights against anchors, and its gradient", add_penalty},
      {"merge", "Combine Fisher files: shards of one dataset, or tasks with decay", add_merge},
      {"diff", "Compare two Fisher files in scale and direction", add_diff},
      {"info", "Tensors, metadata and quantiles of a safetensors file", add_info},
      {"train", "Train a network", add_train},
      {"continual", "Learn one task after another, with and without EWC", add_continual},
      {"toy", "Worked examples with two parameters", add_toy},
      {"machine", "Threads, instruction sets, caches, measured peaks", add_machine}};
  return kVerbs;
}

std::string version_text() {
  std::string text =
      "fisherdiag " + std::string(version()) + " (" + std::string(compiler()) + "; instruction sets here:";
  for (Isa isa : available_isas()) text += " " + std::string(isa_name(isa));
  return text + ")";
}

/// A word in the verb's place that is no verb: one sentence, with the verb that was probably meant.
void check_verb(int argc, char** argv) {
  if (argc < 2) throw UsageError("a verb is missing; fisherdiag --help lists them");
  const std::string word = argv[1];
  if (word.starts_with("-")) return;
  std::vector<std::string> names;
  for (const Verb& verb : verbs()) names.push_back(verb.name);
  if (std::find(names.begin(), names.end(), word) != names.end()) return;
  const std::optional<std::string> guess = nearest(word, names);
  throw UsageError("unknown verb '" + word + "'" +
                   (guess ? "; did you mean '" + *guess + "'?" : "; fisherdiag --help lists the verbs"));
}

/// CLI11's complaint as one sentence, with the option that was probably meant.
[[noreturn]] void throw_usage(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const CLI::App& verb = chosen.empty() ? app : *chosen.front();
  std::string sentence = error.what();
  std::vector<std::string> extras = verb.remaining();
  std::stable_partition(extras.begin(), extras.end(),
                        [](const std::string& word) { return word.starts_with("-"); });
  if (!extras.empty()) {
    std::vector<std::string> names;
    for (const CLI::Option* option : verb.get_options()) names.push_back(option->get_name());
    const std::string word = extras.front().substr(0, extras.front().find('='));
    const std::optional<std::string> guess = nearest(word, names);
    sentence = (word.starts_with("-") ? "unknown option '" : "unexpected argument '") + word + "'" +
               (guess ? "; did you mean '" + *guess + "'?" : "");
  }
  std::replace(sentence.begin(), sentence.end(), '\n', ' ');
  const std::string name = chosen.empty() ? "" : " " + verb.get_name();
  throw UsageError(sentence + " (fisherdiag" + name + " --help)");
}

int run(int argc, char** argv) {
  check_verb(argc, argv);
  CLI::App app("Diagonal of a neural network's Fisher information, from per-sample gradients.", "fisherdiag");
  use_help_layout(app);
  app.footer(
      "  fisherdiag train --arch mlp:784-256-256-10 --data fashion-mnist:train -o W.safetensors\n"
      "  fisherdiag compute --weights W.safetensors --data fashion-mnist:train --estimator exact -o "
      "F.safetensors\n"
      "  fisherdiag info F.safetensors");
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  std::map<const CLI::App*, Run> runs;
  for (const Verb& verb : verbs()) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.summary);
    runs[sub] = verb.add(*sub);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return kDone;
  } catch (const CLI::CallForVersion&) {
    print(version_text() + "\n");
    return kDone;
  } catch (const CLI::ParseError& error) {
    throw_usage(app, error);
  }
  return runs.at(app.get_subcommands().front())();
}

}  // namespace

}  // namespace fisherdiag::cli

int main(int argc, char** argv) {
  fisherdiag::cli::install_signal_handlers();
  return fisherdiag::cli::run_guarded([&] { return fisherdiag::cli::run(argc, argv); });
}
