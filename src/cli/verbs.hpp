// The verbs. Each function adds its options to `verb` and returns what runs once they are parsed.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace fisherdiag::cli {

/// Does the verb's work and returns the exit code; throws what errors.hpp maps to the other codes.
using Run = std::function<int()>;

Run add_compute(CLI::App& verb);
Run add_plan(CLI::App& verb);
Run add_check(CLI::App& verb);
Run add_penalty(CLI::App& verb);
Run add_merge(CLI::App& verb);
Run add_diff(CLI::App& verb);
Run add_info(CLI::App& verb);
Run add_train(CLI::App& verb);
Run add_continual(CLI::App& verb);
Run add_toy(CLI::App& verb);
Run add_machine(CLI::App& verb);

}  // namespace fisherdiag::cli
