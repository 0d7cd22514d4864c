#include "fisherdiag/io/csv.hpp"

#include <cmath>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

io::CsvTable table_of(const std::string& text) {
  const TemporaryFolder folder;
  return io::read_csv(folder.file("a.csv", text));
}

void rejected(const std::string& text, const std::string& reason) {
  const TemporaryFolder folder;
  const auto path = folder.file("bad.csv", text);
  require_error<FormatError>(path, reason, [&] { io::read_csv(path); });
}

}  // namespace

TEST_CASE("csv: the forms that people's files have", "[csv]") {
  const std::vector<float> expected{1, -2.5f, 300, 0.1f, 0, -0.0f};
  for (const std::string& text :
       {std::string("1,-2.5,3e2\n0.1,0,-0\n"), std::string("1,-2.5,3e2\r\n0.1,0,-0"),
        std::string("a,b,c\n1, -2.5 ,+300\n\t.1,0.0,-0\n\n \n"),
        std::string("\xEF\xBB\xBF\"a\",\"b\",\n1,-2.5,3E2\n1e-1,00,-0.\n")}) {
    const io::CsvTable table = table_of(text);
    REQUIRE(table.columns == 3);
    REQUIRE(table.values == expected);
  }
  REQUIRE(table_of("7").values == std::vector<float>{7});
  REQUIRE(table_of("x\n7\n8\n").columns == 1);
  REQUIRE(std::isnan(table_of("nan,1\n").values[0]));
  REQUIRE(std::isinf(table_of("1e99\n").values[0]));
  REQUIRE(std::isinf(table_of("-1e999\n").values[0]));
  REQUIRE(std::abs(table_of("1e-60\n").values[0]) == 0);
}

TEST_CASE("csv: cells, lines and files that are refused", "[csv]") {
  rejected("", "is empty");
  rejected("\n\n", "no line of numbers");
  rejected("a,b\n", "no line of numbers");
  rejected("1,2\n3\n", "line 2 has 1 values");
  rejected("1,2\n3,4,5\n", "line 2 has 3 values");
  rejected("1,2\n\n3,4\n", "line 2, column 1: ''");
  rejected("1,2\n3,x\n", "line 2, column 2: 'x'");
  rejected("1,2\n3,4,\n", "line 2, column 3: ''");
  rejected("1,two\n", "line 1, column 2");
  rejected("1;2\n3;4\n", "line 2");
  rejected("1\n\"2\"\n", "line 2");
  rejected("1\n0x10\n", "line 2");
  rejected("1\n1 2\n", "line 2");
  rejected("1\n+-2\n", "line 2");
}

}  // namespace fisherdiag::test
