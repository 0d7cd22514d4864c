// What the tool says: data on stdout, everything else on stderr.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fisherdiag::cli {

using Json = nlohmann::ordered_json;

/// Writes to stdout and flushes; throws IoError when that fails (a full disk, a closed pipe).
void print(const std::string& text);
/// One object, indented, on stdout. Numbers that are not finite become null.
void print_json(const Json& json);
/// "fisherdiag: SENTENCE" on stderr.
void print_note(const std::string& sentence);
/// `text`, lines of it, on stderr.
void print_lines(const std::string& text);
/// print_note with "error:" before the sentence, coloured on a terminal.
void print_error(const std::string& sentence);

/// True if `descriptor` is a terminal and neither NO_COLOR nor TERM=dumb forbids colour.
bool use_color(int descriptor);
/// `text` in green or red if stdout takes colour.
std::string verdict(const std::string& text, bool good);

/// "269,322"
std::string grouped(std::uint64_t number);
/// Three digits and an SI prefix: 35.1e9, "flop/s" -> "35.1 Gflop/s".
std::string si(double value, const std::string& unit);
/// "1.4 GiB"
std::string binary_size(double bytes);
/// %.4g
std::string number(double value);
/// 0.34 -> "0.34 s", 75 -> "1 min 15 s"
std::string duration(double seconds);

/// Columns padded to their widest cell: the first to the left, the others to the right. The first row is the
/// header.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace fisherdiag::cli
