#include "fisherdiag/fisher/sampling_record.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

using Strings = std::map<std::string, std::string>;

/// The shortest decimal number that reads back as `value`.
std::string to_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

[[noreturn]] void throw_malformed(const std::string& key, const std::string& text) {
  throw DataError("metadata entry '" + key + "' has the unknown value '" + text + "'");
}

/// A finite number >= 0 that is all of `part`.
double parse(const std::string& key, const std::string& text, std::string_view part) {
  double value = 0;
  const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  if (error != std::errc{} || stop != part.data() + part.size() || !(value >= 0) || !std::isfinite(value))
    throw_malformed(key, text);
  return value;
}

std::optional<double> read_number(const Strings& strings, const std::string& key) {
  const auto entry = strings.find(key);
  if (entry == strings.end()) return std::nullopt;
  return parse(key, entry->second, entry->second);
}

std::vector<double> read_list(const Strings& strings, const std::string& key) {
  std::vector<double> values;
  const auto entry = strings.find(key);
  if (entry == strings.end()) return values;
  const std::string_view text = entry->second;
  for (std::size_t begin = 0, end = 0; end < text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    values.push_back(parse(key, entry->second, text.substr(begin, end - begin)));
  }
  if (values.empty()) throw_malformed(key, entry->second);
  return values;
}

}  // namespace

void SamplingRecord::add_to(Strings& strings) const {
  if (subset == SubsetKind::All) return;
  strings["subset"] = std::string(subset_name(subset));
  strings["population"] = std::to_string(population);
  if (until) strings["until"] = to_text(*until);
  if (trace_standard_error) strings["trace_standard_error"] = to_text(*trace_standard_error);
  if (relative_trace_standard_error)
    strings["relative_trace_standard_error"] = to_text(*relative_trace_standard_error);
  std::string& list = strings["layer_trace_standard_error"];
  for (const double error : layer_trace_standard_error) list += (list.empty() ? "" : ",") + to_text(error);
  if (list.empty()) strings.erase("layer_trace_standard_error");
}

SamplingRecord SamplingRecord::from_strings(const Strings& strings) {
  SamplingRecord record;
  if (const auto entry = strings.find("subset"); entry != strings.end()) {
    const std::optional<SubsetKind> kind = subset_from_name(entry->second);
    if (!kind) throw_malformed("subset", entry->second);
    record.subset = *kind;
  }
  if (const auto entry = strings.find("population"); entry != strings.end()) {
    const char* end = entry->second.data() + entry->second.size();
    const auto [stop, error] = std::from_chars(entry->second.data(), end, record.population);
    if (error != std::errc{} || stop != end) throw_malformed("population", entry->second);
  }
  record.until = read_number(strings, "until");
  record.trace_standard_error = read_number(strings, "trace_standard_error");
  record.relative_trace_standard_error = read_number(strings, "relative_trace_standard_error");
  record.layer_trace_standard_error = read_list(strings, "layer_trace_standard_error");
  return record;
}

}  // namespace fisherdiag
