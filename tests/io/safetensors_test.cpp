#include "fisherdiag/io/safetensors.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

/// A safetensors file's bytes from its header and data.
std::string safetensors(const std::string& header, const std::string& data) {
  return little_endian(header.size(), 8) + header + data;
}

}  // namespace

TEST_CASE("safetensors: what is written is read back bit for bit", "[safetensors]") {
  const TemporaryFolder folder;
  const std::vector<float> weight{1.5f,   -0.0f,     std::numeric_limits<float>::quiet_NaN(),
                                  1e-45f, HUGE_VALF, 3.0f};
  const std::vector<float> scalar{2.0f};
  const std::vector<TensorView> tensors{{"0.weight", {2, 3}, weight},
                                        {"empty", {0, 4}, {}},
                                        {"scalar", {}, scalar},
                                        {"nom \"é\"\n", {1}, scalar}};
  const std::map<std::string, std::string> metadata{{"estimator", "exact"}, {"arch", "{\"a\": [1]}"}};
  write_safetensors(folder / "w.safetensors", tensors, metadata);

  const SafetensorsFile file(folder / "w.safetensors");
  REQUIRE(file.metadata() == metadata);
  REQUIRE(file.tensors().size() == tensors.size());
  for (const TensorView& tensor : tensors) {
    const TensorEntry* entry = file.find(tensor.name);
    REQUIRE(entry != nullptr);
    REQUIRE(entry->dtype == "F32");
    REQUIRE(entry->shape == tensor.shape);
    std::vector<float> values(entry->elements);
    file.read(*entry, values);
    for (std::size_t i = 0; i < values.size(); ++i)
      REQUIRE(std::bit_cast<std::uint32_t>(values[i]) == std::bit_cast<std::uint32_t>(tensor.values[i]));
  }
  REQUIRE(file.find("1.weight") == nullptr);
  REQUIRE(file.path() == folder / "w.safetensors");
}

TEST_CASE("safetensors: the written header is the format's", "[safetensors]") {
  const TemporaryFolder folder;
  const std::vector<float> values{1.0f, 2.0f};
  write_safetensors(folder / "w", std::vector<TensorView>{{"b", {2}, values}, {"a", {2, 1}, values}},
                    {{"k", "v"}});
  const std::string bytes = read_file(folder / "w");
  const auto length = static_cast<std::size_t>(static_cast<unsigned char>(bytes[0]));
  REQUIRE(bytes.substr(1, 7) == std::string(7, '\0'));
  REQUIRE((8 + length) % 8 == 0);
  REQUIRE(bytes.size() == 8 + length + 16);
  const std::string header = bytes.substr(8, length);
  REQUIRE(header.find("{\"__metadata__\"") == 0);
  const auto json = nlohmann::json::parse(header);
  REQUIRE(json["b"] == nlohmann::json::parse(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})"));
  REQUIRE(json["a"] ==
          nlohmann::json::parse(R"({"dtype": "F32", "shape": [2, 1], "data_offsets": [8, 16]})"));
}

TEST_CASE("safetensors: every floating dtype is read", "[safetensors]") {
  const TemporaryFolder folder;
  const std::string header =
      R"({"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},)"
      R"("d":{"dtype":"F64","shape":[1],"data_offsets":[12,20]},"i":{"dtype":"I64","shape":[1],"data_offsets":[20,28]}})";
  // Half: 1, -2, the smallest subnormal 2^-24, infinity. BF16: 1.5, -0. Double: 0.1.
  const std::string data = little_endian(0x3C00, 2) + little_endian(0xC000, 2) + little_endian(0x0001, 2) +
                           little_endian(0x7C00, 2) + little_endian(0x3FC0, 2) + little_endian(0x8000, 2) +
                           little_endian(std::bit_cast<std::uint64_t>(0.1), 8) + little_endian(7, 8);
  const SafetensorsFile file(folder.file("w.safetensors", safetensors(header, data)));
  std::vector<float> half(4), bfloat(2), wide(1);
  file.read(*file.find("h"), half);
  file.read(*file.find("b"), bfloat);
  file.read(*file.find("d"), wide);
  REQUIRE(half == std::vector<float>{1.0f, -2.0f, 0x1p-24f, HUGE_VALF});
  REQUIRE(bfloat == std::vector<float>{1.5f, 0.0f});
  REQUIRE(std::signbit(bfloat[1]));
  REQUIRE(wide[0] == 0.1f);
  require_error<FormatError>("w.safetensors", "I64", [&] { file.read(*file.find("i"), wide); });
  require_error<ArgumentError>("w.safetensors", "elements", [&] { file.read(*file.find("h"), wide); });
}

TEST_CASE("safetensors: valid oddities load", "[safetensors]") {
  const TemporaryFolder folder;
  const auto count = [&](const std::string& header, const std::string& data) {
    return SafetensorsFile(folder.file("odd", safetensors(header, data))).tensors().size();
  };
  REQUIRE(count("{}", "") == 0);
  REQUIRE(count("{}      ", "") == 0);
  REQUIRE(count(R"({"__metadata__":{}})", "") == 0);
  // Entries in any order, keys in any order, header not padded, a tensor without a name, a scalar, no
  // elements.
  REQUIRE(
      count(
          R"({"b":{"shape":[],"data_offsets":[3,7],"dtype":"F32"},"":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
          R"("e":{"dtype":"F32","shape":[5,0],"data_offsets":[7,7]}})",
          "1234567") == 3);
  REQUIRE(count(R"({"f":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", "ab") == 1);
  REQUIRE(count("{\"\\u0061\\ud83d\\ude00\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                "a") == 1);
}

TEST_CASE("safetensors: a caller's mistake is refused and writes nothing", "[safetensors]") {
  const TemporaryFolder folder;
  const std::vector<float> values{1.0f, 2.0f};
  const auto write = [&](const std::vector<TensorView>& tensors,
                         const std::map<std::string, std::string>& metadata) {
    return [&folder, tensors, metadata] { write_safetensors(folder / "w.safetensors", tensors, metadata); };
  };
  require_error<ArgumentError>("w.safetensors", "shape", write({{"a", {3}, values}}, {}));
  require_error<ArgumentError>("w.safetensors", "shape", write({{"a", {1ull << 32, 1ull << 32}, {}}}, {}));
  require_error<ArgumentError>("w.safetensors", "twice", write({{"a", {2}, values}, {"a", {2}, values}}, {}));
  require_error<ArgumentError>("w.safetensors", "reserved", write({{"__metadata__", {2}, values}}, {}));
  require_error<ArgumentError>("w.safetensors", "UTF-8", write({{"\xFF", {2}, values}}, {}));
  require_error<ArgumentError>("w.safetensors", "UTF-8", write({}, {{"k", "\xC0\x80"}}));
  REQUIRE(folder.count() == 0);
}

}  // namespace fisherdiag::test
