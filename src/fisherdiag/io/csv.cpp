#include "fisherdiag/io/csv.hpp"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/file.hpp"
#include "fisherdiag/io/quoted_name.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

/// Rounded once, from the decimal digits; nullopt if `cell` is no number.
std::optional<float> parse_number(std::string_view cell) {
  if (cell.starts_with('+') && !cell.starts_with("+-")) cell.remove_prefix(1);
  float value = 0;
  const auto [stop, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (stop != cell.data() + cell.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    double wide = 0;  // too small for a float is 0; too large shows as infinite
    if (std::from_chars(cell.data(), stop, wide).ec == std::errc()) return static_cast<float>(wide);
    return std::numeric_limits<float>::infinity();
  }
  return error == std::errc() ? std::optional<float>(value) : std::nullopt;
}

/// Calls body(cell, column) for each cell of a line, blanks around it removed.
template <class Body>
std::size_t for_each_cell(std::string_view line, const Body& body) {
  std::size_t column = 0;
  for (std::size_t begin = 0; begin <= line.size(); ++column) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    body(without_blanks(line.substr(begin, end - begin)), column);
    begin = end + 1;
  }
  return column;
}

bool is_header(std::string_view line) {
  bool any_number = false;
  for_each_cell(line, [&](std::string_view cell, std::size_t) {
    any_number = any_number || parse_number(cell).has_value();
  });
  return !any_number;
}

void add_line(const std::string& file, std::string_view line, std::size_t number, CsvTable& table) {
  const std::string where = "line " + std::to_string(number);
  const std::size_t columns = for_each_cell(line, [&](std::string_view cell, std::size_t column) {
    const std::optional<float> value = parse_number(cell);
    if (!value)
      throw FormatError(file, where + ", column " + std::to_string(column + 1) + ": " + quoted_name(cell) +
                                  " is not a number");
    table.values.push_back(*value);
  });
  if (table.columns == 0) table.columns = columns;
  if (columns != table.columns)
    throw FormatError(file, where + " has " + std::to_string(columns) + " values, the lines before it " +
                                std::to_string(table.columns));
}

}  // namespace

CsvTable read_csv(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() == 0) throw FormatError(file.name(), "is empty");
  if (file.size() > kMostBytes)
    throw FormatError(file.name(), "has " + std::to_string(file.size()) +
                                       " bytes; CSV is read up to 256 MiB, save larger data with numpy.save");
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  std::string_view left = text;
  if (left.starts_with(kByteOrderMark)) left.remove_prefix(kByteOrderMark.size());
  left = left.substr(0, left.find_last_not_of(" \t\r\n") + 1);
  CsvTable table;
  for (std::size_t number = 1; !left.empty(); ++number) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    const std::string_view line = left.substr(0, end);
    if (number > 1 || !is_header(line)) add_line(file.name(), line, number, table);
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  if (table.columns == 0) throw FormatError(file.name(), "holds no line of numbers");
  return table;
}

}  // namespace fisherdiag::io
