#include "fisherdiag/io/impl/strict_json.hpp"

#include <unordered_set>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/quoted_name.hpp"

namespace fisherdiag::io {

namespace {

using Json = nlohmann::json;

constexpr int kMostDepth = 64;

/// Sees every key before the parser's "last one wins" can hide a second.
class KeyChecker {
 public:
  explicit KeyChecker(const std::string& source) : source_(source) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMostDepth) throw FormatError(source_, "has JSON nested deeper than 64");
    if (event == Json::parse_event_t::object_start) {
      open_.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      open_.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_.back().insert(key).second)
        throw FormatError(source_, "has the key " + quoted_name(key) + " twice in one object");
    }
    return true;
  }

 private:
  const std::string& source_;
  std::vector<std::unordered_set<std::string>> open_;  ///< keys of the objects being read
};

}  // namespace

nlohmann::json parse_strict_json(std::string_view text, const std::string& source) {
  // The parser takes a zero byte for the end of its input and would not look at what follows.
  const std::size_t zero = text.find('\0');
  if (zero != std::string_view::npos) throw FormatError(source, "is not JSON: it has a zero byte", zero);
  try {
    KeyChecker checker(source);
    return Json::parse(text.begin(), text.end(),
                       [&checker](int depth, Json::parse_event_t event, Json& parsed) {
                         return checker(depth, event, parsed);
                       });
  } catch (const Json::parse_error& error) {
    throw FormatError(source, "is not JSON in UTF-8", error.byte);
  } catch (const Json::out_of_range&) {
    throw FormatError(source, "has a number that no float holds");
  }
}

}  // namespace fisherdiag::io
