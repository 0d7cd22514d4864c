#include "fisherdiag/base/isa.hpp"

#include <cstdlib>
#include <optional>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;

namespace {

/// Sets FISHERDIAG_ISA and puts back what was there.
class IsaVariable {
 public:
  explicit IsaVariable(const char* value) {
    if (const char* old = std::getenv(kName)) old_ = old;
    setenv(kName, value, 1);
  }
  ~IsaVariable() { old_ ? setenv(kName, old_->c_str(), 1) : unsetenv(kName); }

 private:
  static constexpr const char* kName = "FISHERDIAG_ISA";
  std::optional<std::string> old_;
};

}  // namespace

TEST_CASE("instruction set names and levels map to each other") {
  for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512}) CHECK(isa_from_name(isa_name(isa)) == isa);
  CHECK(isa_name(Isa::Baseline) == "baseline");
  CHECK(isa_name(Isa::Avx2) == "avx2");
  CHECK(isa_name(Isa::Avx512) == "avx512");
  for (const char* wrong : {"", "AVX2", "avx", "sse2", "avx512 "}) CHECK_FALSE(isa_from_name(wrong));
}

TEST_CASE("available levels start with the baseline and get stronger") {
  const std::vector<Isa> isas = available_isas();
  REQUIRE_FALSE(isas.empty());
  CHECK(isas.front() == Isa::Baseline);
  for (std::size_t i = 1; i < isas.size(); ++i) CHECK(isas[i - 1] < isas[i]);
}

TEST_CASE("FISHERDIAG_ISA forces a level, empty means the strongest") {
  for (Isa isa : available_isas()) {
    const IsaVariable variable(std::string(isa_name(isa)).c_str());
    CHECK(default_isa() == isa);
  }
  const IsaVariable variable("");
  CHECK(default_isa() == available_isas().back());
}

TEST_CASE("an unknown level is refused with the available ones named") {
  const IsaVariable variable("avx1024");
  const std::string message = test::message_of<ArgumentError>([] { (void)default_isa(); });
  CAPTURE(message);
  CHECK(test::contains(message, "'avx1024' is unknown"));
  CHECK(test::contains(message, "baseline"));
  CHECK_THROWS_AS(require_isa("avx1024"), ArgumentError);
}
