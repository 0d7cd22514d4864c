#include <array>

#include "fisherdiag/nn/architecture.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

namespace {

constexpr std::array<const char*, 5> kInputs = {"\"input\":[6]", "\"input\":[2,5]", "\"input\":[1,6,6]",
                                                "\"sequence\":[5]", "\"sequence\":[4,3]"};

}  // namespace

/// The first byte chooses the shape of a sample; the rest are the layers.
FISHERDIAG_FUZZ_TARGET(graph) {
  if (input.empty()) return;
  const char* shape = kInputs[static_cast<unsigned char>(input[0]) % kInputs.size()];
  const std::string layers(input.substr(1));
  const Architecture architecture = Architecture::parse("{\"format\":\"fisherdiag.arch/1\"," +
                                                        std::string(shape) + ",\"layers\":[" + layers + "]}");
  const Architecture again = Architecture::parse(architecture.to_json());
  if (again.to_json() != architecture.to_json() || architecture.summary().empty()) std::abort();
  if (again.parameter_count() != architecture.parameter_count()) std::abort();
}
