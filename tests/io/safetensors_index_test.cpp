#include "fisherdiag/io/safetensors_index.hpp"

#include <string>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

const std::string kIndex = "model.safetensors.index.json";

void write_shard(const TemporaryFolder& folder, const std::string& file,
                 const std::vector<std::string>& names,
                 const std::map<std::string, std::string>& metadata = {}) {
  std::vector<std::vector<float>> values;
  for (const std::string& name : names) values.push_back({static_cast<float>(name.back()), 2.5f});
  std::vector<TensorView> tensors;
  for (std::size_t i = 0; i < names.size(); ++i) tensors.push_back({names[i], {2}, values[i]});
  write_safetensors(folder / file, tensors, metadata);
}

std::vector<float> values_of(const SafetensorsFile& file, const std::string& name) {
  std::vector<float> values(2);
  const TensorEntry* entry = file.find(name);
  REQUIRE(entry);
  file.read(*entry, values);
  return values;
}

}  // namespace

TEST_CASE("safetensors index: several files are seen as one", "[safetensors]") {
  const TemporaryFolder folder;
  write_shard(folder, "model-00002-of-00002.safetensors", {"c"}, {{"only", "second"}, {"both", "second"}});
  write_shard(folder, "model-00001-of-00002.safetensors", {"b", "a"}, {{"both", "first"}});
  const auto path = folder.file(kIndex, R"({"metadata": {"total_size": 24, "both": "index"}, "weight_map": {
      "a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors",
      "c": "model-00002-of-00002.safetensors"}})");
  const SafetensorsFile file(path);
  REQUIRE(file.tensors().size() == 3);
  REQUIRE(file.tensors()[0].name == "b");
  REQUIRE(file.tensors()[2].name == "c");
  for (const char* name : {"a", "b", "c"})
    REQUIRE(values_of(file, name) == std::vector<float>{static_cast<float>(name[0]), 2.5f});
  REQUIRE(file.find("d") == nullptr);
  REQUIRE(file.metadata() == std::map<std::string, std::string>{{"both", "index"}, {"only", "second"}});
}

TEST_CASE("safetensors index: what it says and what the files hold must agree", "[safetensors]") {
  const TemporaryFolder folder;
  write_shard(folder, "s1.safetensors", {"a", "b"});
  write_shard(folder, "s2.safetensors", {"c"});
  const auto rejected = [&](const std::string& json, const std::string& file, const std::string& reason) {
    const auto path = folder.file(kIndex, json);
    require_error<FormatError>(file, reason, [&] { SafetensorsFile opened(path); });
  };
  const std::string s1 = R"("s1.safetensors")", s2 = R"("s2.safetensors")";
  rejected(R"({"weight_map": {"a": )" + s1 + R"(, "c": )" + s2 + "}}", "s1.safetensors", "'b'");
  rejected(R"({"weight_map": {"a": )" + s1 + R"(, "b": )" + s2 + R"(, "c": )" + s2 + "}}", "s1.safetensors",
           "does not place there");
  rejected(R"({"weight_map": {"a": )" + s1 + R"(, "b": )" + s1 + R"(, "d": )" + s1 + "}}", kIndex, "'d'");
  rejected(R"({"weight_map": {"a": )" + s1 + R"(, "a": )" + s1 + "}}", kIndex, "twice");
  rejected(R"({"weight_map": {"a": "../s1.safetensors"}})", kIndex, "beside the index");
  rejected(R"({"weight_map": {"a": ".."}})", kIndex, "beside the index");
  rejected(R"({"weight_map": {"a": 3}})", kIndex, "beside the index");
  rejected(R"({"weight_map": {}})", kIndex, "no object 'weight_map'");
  rejected(R"({"weight_map": []})", kIndex, "no object 'weight_map'");
  rejected("[]", kIndex, "no object 'weight_map'");
  rejected(R"({"weight_map": {"a": "s1.saf)", kIndex, "not JSON");
  rejected("", kIndex, "not JSON");
  const auto path = folder.file(kIndex, R"({"weight_map": {"a": "gone.safetensors"}})");
  require_error<IoError>("gone.safetensors", "No such file", [&] { SafetensorsFile opened(path); });
}

}  // namespace fisherdiag::test
