#include "fisherdiag/io/npy_header.hpp"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/checked.hpp"
#include "fisherdiag/io/quoted_name.hpp"

namespace fisherdiag::io {

namespace {

/// NumPy's own default limit (max_header_size of numpy.load): no honest header of a plain array comes near
/// it.
constexpr std::uint64_t kMostHeaderBytes = 10'000;
constexpr std::size_t kMostDimensions = 64;  // NumPy 2's NPY_MAXDIMS

/// Reads the header's one Python dictionary literal with the keys descr, fortran_order and shape.
class DictionaryParser {
 public:
  DictionaryParser(std::string_view text, const std::string& file, std::uint64_t offset)
      : text_(text), file_(file), offset_(offset) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string key = parse_string();
      expect(':');
      parse_value(key);
      if (accept(',')) continue;
      expect('}');
      break;
    }
    skip_blanks();
    if (at_ != text_.size()) fail("has text after its header's dictionary");
    if (!descr || !fortran_order || !shape) fail("has a header without 'descr', 'fortran_order' or 'shape'");
  }

  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::size_t>> shape;

 private:
  [[noreturn]] void fail(const std::string& reason) const { throw FormatError(file_, reason, offset_ + at_); }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }

  bool accept(char c) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(std::string("has a header that is not a plain dictionary: expected '") + c + "'");
  }

  bool accept_word(std::string_view word) {
    skip_blanks();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  std::string parse_string() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = text_.find_first_of(std::string{quote, '\\', '\n'}, at_);
    if (end == std::string_view::npos || text_[end] != quote) fail("has a header with an unreadable string");
    std::string value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }

  void parse_value(const std::string& key) {
    const bool again =
        (key == "descr" && descr) || (key == "fortran_order" && fortran_order) || (key == "shape" && shape);
    if (again) fail("has a header with the key " + quoted_name(key) + " twice");
    if (key == "descr") return parse_descr();
    if (key == "fortran_order") return parse_order();
    if (key == "shape") return parse_shape();
    fail("has a header with the unknown key " + quoted_name(key));
  }

  void parse_descr() {
    if (accept('[')) fail("holds a structured array; only plain numbers are read");
    descr = parse_string();
  }

  void parse_order() {
    if (accept_word("True")) {
      fortran_order = true;
    } else if (accept_word("False")) {
      fortran_order = false;
    } else {
      fail("has a header whose 'fortran_order' is neither True nor False");
    }
  }

  void parse_shape() {
    expect('(');
    std::vector<std::size_t> dimensions;
    bool comma = true;
    while (!accept(')')) {
      if (!comma) expect(',');  // throws: two numbers without a comma between them
      dimensions.push_back(parse_size());
      if (dimensions.size() > kMostDimensions) fail("has more than 64 dimensions");
      comma = accept(',');
    }
    if (dimensions.size() == 1 && !comma) fail("has a shape that is not a tuple");
    shape = std::move(dimensions);
  }

  std::size_t parse_size() {
    skip_blanks();
    const std::size_t start = at_;
    std::uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const auto shifted = checked_multiply(value, 10);
      const auto digit = static_cast<std::uint64_t>(text_[at_] - '0');
      if (!shifted || *shifted > UINT64_MAX - digit) fail("has a dimension that overflows 64 bits");
      value = *shifted + digit;
    }
    if (at_ == start) fail("has a shape entry that is not a whole number >= 0");
    accept('L');  // Python 2 wrote long integers so
    return value;
  }

  std::string_view text_;
  const std::string& file_;
  std::uint64_t offset_;
  std::size_t at_ = 0;
};

/// Sets type and order from a NumPy type string such as "<f4".
void parse_type(const std::string& descr, const std::string& file, NpyHeader& header) {
  using enum ElementType;
  constexpr std::pair<std::string_view, ElementType> kTypes[] = {
      {"b1", Bool}, {"i1", I8},  {"u1", U8},  {"i2", I16}, {"u2", U16}, {"i4", I32},
      {"u4", U32},  {"i8", I64}, {"u8", U64}, {"f2", F16}, {"f4", F32}, {"f8", F64}};
  const char order = descr.empty() ? '?' : descr[0];
  if (descr.size() > 1 && descr[1] == 'O')
    throw FormatError(file,
                      "holds Python objects (dtype 'O'), which are never read; save an array of numbers");
  for (const auto& [name, type] : kTypes) {
    if (descr.size() < 2 || descr.substr(1) != name) continue;
    const bool known_order =
        order == '<' || order == '>' || order == '=' || (order == '|' && element_size(type) == 1);
    if (!known_order) break;
    header.type = type;
    header.order = order == '>' ? std::endian::big : order == '<' ? std::endian::little : std::endian::native;
    return;
  }
  throw FormatError(file, "has dtype " + quoted_name(descr) +
                              ", which is not read; convert it with astype('float32') or to an integer type");
}

/// The dictionary's text and the offset it starts at.
std::pair<std::string, std::uint64_t> read_dictionary_text(SizedStream& file) {
  constexpr std::uint64_t kMagicAndVersion = 8;
  if (file.size() == 0) throw FormatError(file.name(), "is empty");
  if (file.size() < kMagicAndVersion + 2)
    throw FormatError(file.name(), "is truncated: it has no .npy header");
  std::array<std::byte, kMagicAndVersion + 4> start{};
  file.read_at(0, std::span(start).first(std::min<std::uint64_t>(start.size(), file.size())));
  if (std::string_view(reinterpret_cast<const char*>(start.data()), kNpyMagic.size()) != kNpyMagic)
    throw FormatError(file.name(), "has the wrong magic bytes: it is not a .npy file", 0);
  const auto byte = [&start](std::size_t i) { return std::to_integer<std::uint64_t>(start[i]); };
  const std::uint64_t major = byte(6);
  if (major < 1 || major > 3 || byte(7) != 0)
    throw FormatError(file.name(),
                      "has .npy format version " + std::to_string(major) + "." + std::to_string(byte(7)) +
                          "; versions 1.0 to 3.0 are read",
                      6);
  const std::uint64_t offset = major == 1 ? 10 : 12;
  std::uint64_t length = byte(8) | byte(9) << 8;
  if (major > 1) length |= byte(10) << 16 | byte(11) << 24;
  if (length > kMostHeaderBytes)
    throw FormatError(file.name(),
                      "has a header of " + std::to_string(length) + " bytes; at most " +
                          std::to_string(kMostHeaderBytes) + " are read",
                      8);
  if (offset + length > file.size())
    throw FormatError(file.name(), "is truncated within its header", file.size());
  std::string text(length, '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(text)));
  return {std::move(text), offset};
}

}  // namespace

NpyHeader read_npy_header(SizedStream& file) {
  const auto [text, offset] = read_dictionary_text(file);
  DictionaryParser dictionary(text, file.name(), offset);
  dictionary.parse();

  NpyHeader header;
  parse_type(*dictionary.descr, file.name(), header);
  header.shape = *dictionary.shape;
  header.data_offset = offset + text.size();
  if (*dictionary.fortran_order && header.shape.size() > 1)
    throw FormatError(file.name(),
                      "is stored in Fortran order; save it with numpy.save(..., numpy.ascontiguousarray(x))");

  const auto elements = checked_product(std::span<const std::size_t>(header.shape));
  const auto bytes = elements ? checked_multiply(*elements, element_size(header.type)) : std::nullopt;
  if (!bytes) throw FormatError(file.name(), "has a shape whose size overflows", offset);
  const std::uint64_t present = file.size() - header.data_offset;
  if (*bytes != present)
    throw FormatError(file.name(), std::string(present < *bytes ? "is truncated" : "has trailing bytes") +
                                       ": its shape needs " + std::to_string(*bytes) +
                                       " bytes of data, the file has " + std::to_string(present));
  return header;
}

}  // namespace fisherdiag::io
