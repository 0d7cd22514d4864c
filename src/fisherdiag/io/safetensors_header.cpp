#include "fisherdiag/io/safetensors_header.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/checked.hpp"
#include "fisherdiag/io/quoted_name.hpp"

namespace fisherdiag::io {

namespace {

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::size_t kMostDimensions = 64;

/// Bits per element of every dtype the format knows; nullopt for others.
std::optional<std::uint64_t> dtype_bits(std::string_view dtype) {
  constexpr std::pair<std::string_view, std::uint64_t> kBits[] = {
      {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"BOOL", 8},        {"U8", 8},          {"I8", 8},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
      {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
      {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};
  for (const auto& [name, bits] : kBits)
    if (name == dtype) return bits;
  return std::nullopt;
}

/// Receives the JSON parser's events and accepts only the format's one structure.
class HeaderReader {
 public:
  HeaderReader(const std::string& file, SafetensorsHeader& header) : file_(file), header_(header) {}

  bool null() { reject_value("null"); }
  bool boolean(bool) { reject_value("a truth value"); }
  bool binary(nlohmann::json::binary_t&) { reject_value("binary data"); }
  bool number_integer(std::int64_t) { reject_value("a negative number"); }
  bool number_float(double, const std::string& text) { reject_value("the number " + text); }

  bool number_unsigned(std::uint64_t value) {
    if (place_ == Place::Shape) {
      if (shape_.size() == kMostDimensions) fail(tensor_text() + " has more than 64 dimensions");
      shape_.push_back(value);
    } else if (place_ == Place::Offsets) {
      if (offsets_.size() == 2) fail(tensor_text() + " has more than two data_offsets");
      offsets_.push_back(value);
    } else {
      reject_value("a number");
    }
    return true;
  }

  bool string(std::string& value) {
    if (place_ == Place::Metadata) {
      header_.metadata[key_] = std::move(value);
    } else if (place_ == Place::Tensor && key_ == "dtype") {
      if (!dtype_bits(value)) fail(tensor_text() + " has the unknown dtype " + quoted_name(value));
      dtype_ = std::move(value);
    } else {
      reject_value("a string");
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (place_ == Place::Start) {
      place_ = Place::Top;
    } else if (place_ == Place::Top && key_ == kMetadataKey) {
      place_ = Place::Metadata;
    } else if (place_ == Place::Top) {
      place_ = Place::Tensor;
      name_ = key_;
      seen_.clear();
    } else {
      reject_value("an object");
    }
    return true;
  }

  bool key(std::string& value) {
    if (place_ == Place::Top) {
      if (!names_.insert(value).second) fail("its header has the key " + quoted_name(value) + " twice");
    } else if (place_ == Place::Metadata) {
      if (header_.metadata.count(value) != 0)
        fail("its metadata has the key " + quoted_name(value) + " twice");
    } else {
      if (value != "dtype" && value != "shape" && value != "data_offsets")
        fail(tensor_text() + " has the unknown key " + quoted_name(value));
      if (!seen_.insert(value).second) fail(tensor_text() + " has the key " + quoted_name(value) + " twice");
    }
    key_ = std::move(value);
    return true;
  }

  bool end_object() {
    if (place_ == Place::Tensor) finish_tensor();
    place_ = place_ == Place::Top ? Place::Done : Place::Top;
    return true;
  }

  bool start_array(std::size_t) {
    if (place_ == Place::Tensor && key_ == "shape") {
      place_ = Place::Shape;
      shape_.clear();
    } else if (place_ == Place::Tensor && key_ == "data_offsets") {
      place_ = Place::Offsets;
      offsets_.clear();
    } else {
      reject_value("an array");
    }
    return true;
  }

  bool end_array() {
    if (place_ == Place::Offsets && offsets_.size() != 2)
      fail(tensor_text() + " has fewer than two data_offsets");
    place_ = Place::Tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    constexpr std::size_t kLengthBytes = 8;
    throw FormatError(file_, "its header is not valid JSON in UTF-8", kLengthBytes + position);
  }

 private:
  enum class Place { Start, Top, Metadata, Tensor, Shape, Offsets, Done };

  [[noreturn]] void fail(const std::string& reason) const { throw FormatError(file_, reason); }

  std::string tensor_text() const { return "tensor " + quoted_name(name_); }

  [[noreturn]] void reject_value(const std::string& what) const {
    switch (place_) {
      case Place::Start:
      case Place::Done:
        fail("its header is " + what + ", not an object");
      case Place::Top:
        fail("its header has " + what + " under " + quoted_name(key_) + ", not an object");
      case Place::Metadata:
        fail("its metadata has " + what + " under " + quoted_name(key_) + ", not a string");
      case Place::Tensor:
        fail(tensor_text() + " has " + what + " as its " + key_);
      case Place::Shape:
        fail(tensor_text() + " has " + what + " in its shape, not a whole number below 2^64");
      case Place::Offsets:
        fail(tensor_text() + " has " + what + " in its data_offsets, not a whole number below 2^64");
    }
    fail("its header is damaged");
  }

  void finish_tensor() {
    for (const char* needed : {"dtype", "shape", "data_offsets"})
      if (seen_.count(needed) == 0) fail(tensor_text() + " has no " + needed);
    const auto elements = checked_product(std::span<const std::size_t>(shape_));
    const auto bits = elements ? checked_multiply(*elements, *dtype_bits(dtype_)) : std::nullopt;
    if (!bits) fail(tensor_text() + " has a shape whose size overflows");
    if (offsets_[1] < offsets_[0]) fail(tensor_text() + " has data_offsets that end before they begin");
    if (*bits % 8 != 0 || *bits / 8 != offsets_[1] - offsets_[0])
      fail(tensor_text() + " has a shape and dtype of " + std::to_string(*bits) +
           " bits, but data_offsets of " + std::to_string(offsets_[1] - offsets_[0]) + " bytes");
    header_.tensors.push_back(
        {std::move(name_), std::move(dtype_), shape_, *elements, offsets_[0], offsets_[1], 0});
  }

  const std::string& file_;
  SafetensorsHeader& header_;
  Place place_ = Place::Start;
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> seen_;  ///< keys of the current tensor
  std::string key_;
  std::string name_;
  std::string dtype_;
  std::vector<std::size_t> shape_;
  std::vector<std::uint64_t> offsets_;
};

/// Sorts by offsets and checks that the tensors cover the data section without overlap or hole.
void check_layout(std::vector<TensorEntry>& tensors, const std::string& file, std::uint64_t data_bytes) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t expected = 0;
  for (const TensorEntry& tensor : tensors) {
    if (tensor.begin != expected)
      throw FormatError(
          file, "tensor " + quoted_name(tensor.name) + " begins at byte " + std::to_string(tensor.begin) +
                    " of the data, which " +
                    (tensor.begin < expected ? "overlaps the tensor before it" : "leaves a hole before it"));
    expected = tensor.end;
  }
  if (expected > data_bytes)
    throw FormatError(file, "is truncated: its tensors need " + std::to_string(expected) +
                                " bytes of data, it has " + std::to_string(data_bytes));
  if (expected < data_bytes)
    throw FormatError(
        file, "has " + std::to_string(data_bytes - expected) + " trailing bytes after its last tensor");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, const std::string& file,
                                           std::uint64_t data_bytes) {
  constexpr std::size_t kLengthBytes = 8;
  if (json.empty() || json.front() != '{')
    throw FormatError(file, "its header does not begin with '{': it is not a safetensors file", kLengthBytes);
  // The JSON parser takes a zero byte for the end of its input and would not look at what follows.
  const std::size_t zero = json.find('\0');
  if (zero != std::string_view::npos)
    throw FormatError(file, "its header is not valid JSON: it contains a zero byte", kLengthBytes + zero);
  SafetensorsHeader header;
  HeaderReader reader(file, header);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  check_layout(header.tensors, file, data_bytes);
  return header;
}

}  // namespace fisherdiag::io
