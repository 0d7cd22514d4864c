#include "cli/help.hpp"

#include <memory>
#include <sstream>
#include <string>

namespace fisherdiag::cli {

namespace {

constexpr std::size_t kOptionColumn = 28;

class ExamplesFirst : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    if (mode == CLI::AppFormatMode::Sub) return make_expanded(app);
    std::ostringstream text;
    text << make_description(app);
    if (!app->get_footer().empty()) text << "\nExamples:\n" << app->get_footer() << "\n";
    text << "\n" << make_usage(app, std::move(name)) << make_positionals(app) << make_groups(app, mode);
    text << make_subcommands(app, mode);
    return text.str();
  }
};

}  // namespace

void use_help_layout(CLI::App& app) {
  auto layout = std::make_shared<ExamplesFirst>();
  layout->column_width(kOptionColumn);
  app.formatter(layout);
}

}  // namespace fisherdiag::cli
