// Names from files, made fit for a message.
#pragma once

#include <string>
#include <string_view>

namespace fisherdiag::io {

/// 'text' with control characters replaced by '?', cut to 80 bytes: a hostile name cannot drive a terminal.
inline std::string quoted_name(std::string_view text) {
  constexpr std::size_t kMostBytes = 80;
  std::string result = "'";
  for (const char c : text.substr(0, kMostBytes)) {
    const auto code = static_cast<unsigned char>(c);
    result += code < 0x20 || code == 0x7F ? '?' : c;
  }
  return result + (text.size() > kMostBytes ? "...'" : "'");
}

}  // namespace fisherdiag::io
