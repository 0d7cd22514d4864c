// How --help looks: what it does, examples, then options.
#pragma once

#include <CLI/CLI.hpp>

namespace fisherdiag::cli {

/// Sets the layout on `app`; verbs added afterwards inherit it. The footer of an app is its examples.
void use_help_layout(CLI::App& app);

}  // namespace fisherdiag::cli
