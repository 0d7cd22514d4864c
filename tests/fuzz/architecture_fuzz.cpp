#include "fisherdiag/nn/architecture.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

FISHERDIAG_FUZZ_TARGET(architecture) {
  // Only text that cannot be taken for the path of a file.
  const std::string text(input.substr(0, 4) == "mlp:" ? input : "{" + std::string(input));
  const Architecture architecture = Architecture::parse(text);
  const Architecture again = Architecture::parse(architecture.to_json());
  if (again.to_json() != architecture.to_json() || architecture.summary().empty()) std::abort();
}
