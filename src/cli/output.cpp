#include "cli/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag::cli {

namespace {

constexpr int kJsonIndent = 2;

std::string formatted(const char* format, double value, const std::string& suffix) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), format, value);
  return text.data() + suffix;
}

std::string colored(const std::string& text, const char* code) {
  return std::string("\033[") + code + "m" + text + "\033[0m";
}

/// Columns a terminal shows: bytes that continue a UTF-8 character and colour codes take none.
std::size_t width(const std::string& text) {
  std::size_t columns = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\033') escape = true;
    if (!escape && (static_cast<unsigned char>(c) & 0xC0) != 0x80) ++columns;
    if (escape && c == 'm') escape = false;
  }
  return columns;
}

}  // namespace

void print(const std::string& text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) throw IoError(std::string("standard output: ") + std::strerror(errno));
}

void print_json(const Json& json) {
  print(json.dump(kJsonIndent, ' ', false, Json::error_handler_t::replace) + "\n");
}

void print_note(const std::string& sentence) {
  std::fprintf(stderr, "fisherdiag: %s\n", sentence.c_str());
}

void print_lines(const std::string& text) {
  std::fputs(text.c_str(), stderr);
}

void print_error(const std::string& sentence) {
  const std::string label = use_color(STDERR_FILENO) ? colored("error:", "31") : "error:";
  print_note(label + " " + sentence);
}

bool use_color(int descriptor) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(descriptor) == 1 && !(no_color && *no_color) && term && std::string(term) != "dumb";
}

std::string verdict(const std::string& text, bool good) {
  return use_color(STDOUT_FILENO) ? colored(text, good ? "32" : "31") : text;
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t place = digits.size(); place > 3;) digits.insert(place -= 3, ",");
  return digits;
}

std::string si(double value, const std::string& unit) {
  constexpr std::array kPrefixes = {"", "k", "M", "G", "T", "P"};
  std::size_t prefix = 0;
  for (; std::abs(value) >= 999.5 && prefix + 1 < kPrefixes.size(); ++prefix) value /= 1000;
  return formatted("%.3g ", value, kPrefixes[prefix] + unit);
}

std::string binary_size(double bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1023.5 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return formatted(bytes < 10 && unit > 0 ? "%.1f " : "%.0f ", bytes, kUnits[unit]);
}

std::string number(double value) {
  return std::isfinite(value) ? formatted("%.4g", value, "") : "-";
}

std::string duration(double seconds) {
  constexpr double kMinute = 60;
  if (seconds < kMinute) return formatted("%.2g", seconds, " s");
  const double minutes = std::floor(seconds / kMinute);
  return formatted("%.0f min ", minutes, formatted("%.0f s", seconds - kMinute * minutes, ""));
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width(row[c]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - width(row[c]), ' ');
      line += c == 0 ? row[c] + padding : "  " + padding + row[c];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace fisherdiag::cli
