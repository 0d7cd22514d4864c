#include "fisherdiag/fisher/sampling_record.hpp"

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;

TEST_CASE("a sampling record is read back as it was written") {
  SamplingRecord record{SubsetKind::Importance, 60000, 0.01, 1.0 / 3, 0.1 / 3, {1e-9, 0, 2.0 / 7}};
  std::map<std::string, std::string> strings;
  record.add_to(strings);
  CHECK(strings.at("subset") == "importance");
  CHECK(strings.at("until") == "0.01");
  const SamplingRecord read = SamplingRecord::from_strings(strings);
  CHECK(read.subset == record.subset);
  CHECK(read.population == record.population);
  CHECK(read.until == record.until);
  CHECK(read.trace_standard_error == record.trace_standard_error);
  CHECK(read.relative_trace_standard_error == record.relative_trace_standard_error);
  CHECK(read.layer_trace_standard_error == record.layer_trace_standard_error);
}

TEST_CASE("a record of all samples says nothing, one without errors only what it knows") {
  std::map<std::string, std::string> strings;
  SamplingRecord{}.add_to(strings);
  CHECK(strings.empty());
  SamplingRecord record;
  record.subset = SubsetKind::Uniform;
  record.population = 5;
  record.add_to(strings);
  CHECK(strings == std::map<std::string, std::string>{{"subset", "uniform"}, {"population", "5"}});
}

TEST_CASE("a malformed record is an error") {
  for (const char* key : {"subset", "population", "until", "trace_standard_error",
                          "relative_trace_standard_error", "layer_trace_standard_error"})
    for (const char* value : {"", "bogus", "-1", "1 ", "nan", "1,,2", "inf", ","})
      CHECK_THROWS_AS(SamplingRecord::from_strings({{key, value}}), DataError);
}
