// fisherdiag toy: worked examples with two parameters, where the whole Fisher matrix can be looked at.
#include "cli/toy.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "cli/errors.hpp"
#include "cli/verbs.hpp"

namespace fisherdiag::cli {

namespace {

constexpr const char* kHotdogGroup = "Options of hotdog";

/// A validator for a number in [least, most] that --help does not spell out again.
CLI::Validator number_between(const char* least, const char* most) {
  const double low = std::stod(least), high = std::stod(most);
  const auto validate = [=](const std::string& text) -> std::string {
    double value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && stop == text.data() + text.size() && value >= low && value <= high) return {};
    return "'" + text + "' is not a number from " + least + " to " + most;
  };
  return CLI::Validator(validate, "");
}

int toy(const ToyOptions& options, const std::vector<const CLI::Option*>& of_hotdog) {
  if (options.example == "hotdog") return toy_hotdog(options);
  for (const CLI::Option* option : of_hotdog)
    if (option->count()) throw UsageError(option->get_name() + " belongs to hotdog, not to paths");
  return toy_paths(options);
}

}  // namespace

Run add_toy(CLI::App& verb) {
  const auto options = std::make_shared<ToyOptions>();
  verb.footer(
      "  fisherdiag toy hotdog\n"
      "  fisherdiag toy hotdog --sigma-h 2 --sigma-b 1 --prior 0.5 --json\n"
      "  fisherdiag toy paths --json");
  verb.add_option(
          "example", options->example,
          "hotdog: two rates from two counts, and what a diagonal throws away; paths: from one task's "
          "solution to another's with no penalty, L2 and EWC (docs/worked-examples.md)")
      ->required()
      ->check(one_of({"hotdog", "paths"}))
      ->type_name("");
  // The narrow ranges keep every determinant far from rounding.
  std::vector<const CLI::Option*> of_hotdog;
  const auto add = [&](const char* name, auto& value, const char* text, const CLI::Validator& check,
                       const char* type) {
    CLI::Option* option = verb.add_option(name, value, text)->check(check)->type_name(type);
    of_hotdog.push_back(option->group(kHotdogGroup));
    return option;
  };
  const CLI::Validator error = number_between("0.001", "1000"), rate = number_between("0.1", "1000");
  add("--sigma-h", options->sigma_h, "Error of the number of hot dogs", error, "S")->capture_default_str();
  add("--sigma-b", options->sigma_b, "Error of the number of buns", error, "S")->capture_default_str();
  add("--prior", options->prior, "Standard deviation of a prior on theta1; default: none", error, "S");
  add("--theta1", options->theta1, "Rate of hot dogs with buns", rate, "T")->capture_default_str();
  add("--theta2", options->theta2, "Rate of hot dogs alone", rate, "T")->capture_default_str();
  add("--mc-samples", options->draws, "Draws of the Monte Carlo route", whole_number(1000, 100000000), "S")
      ->capture_default_str();
  verb.add_option("--seed", options->seed, "Key of every random draw")
      ->check(whole_number(0, kMostSeed))
      ->type_name("N")
      ->capture_default_str();
  add_common_options(verb, options->common);
  return [options, of_hotdog] { return toy(*options, of_hotdog); };
}

}  // namespace fisherdiag::cli
