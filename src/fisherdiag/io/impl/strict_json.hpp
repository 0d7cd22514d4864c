// JSON documents from strangers. Here because it includes the parser, which no public header does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fisherdiag::io {

/// Parses one whole JSON text, stricter than the parser alone: a key that comes twice in an object, a zero
/// byte, and nesting deeper than 64 are errors. Whole numbers below 2^64 stay exact.
/// Errors: FormatError naming `source`, with the offset where the text stops being JSON.
nlohmann::json parse_strict_json(std::string_view text, const std::string& source);

}  // namespace fisherdiag::io
