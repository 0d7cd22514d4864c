#include "fisherdiag/base/isa.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::Baseline:
      return "baseline";
    case Isa::Avx2:
      return "avx2";
    case Isa::Avx512:
      return "avx512";
  }
  return "baseline";
}

std::optional<Isa> isa_from_name(std::string_view name) {
  for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512})
    if (name == isa_name(isa)) return isa;
  return std::nullopt;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas{Isa::Baseline};
  // __builtin_cpu_supports reads XCR0 too: a CPU whose operating system keeps AVX state off says no here.
#ifdef FISHERDIAG_HAVE_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isas.push_back(Isa::Avx2);
#endif
#ifdef FISHERDIAG_HAVE_AVX512
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("fma"))
    isas.push_back(Isa::Avx512);
#endif
  return isas;
}

Isa require_isa(std::string_view name) {
  const std::vector<Isa> available = available_isas();
  const std::optional<Isa> isa = isa_from_name(name);
  if (isa && std::find(available.begin(), available.end(), *isa) != available.end()) return *isa;
  std::string names;
  for (Isa level : available) names += (names.empty() ? "" : ", ") + std::string(isa_name(level));
  throw ArgumentError("instruction set '" + std::string(name) + "' is " +
                      (isa ? "not available here" : "unknown") + "; this machine and build have: " + names);
}

Isa default_isa() {
  const char* forced = std::getenv("FISHERDIAG_ISA");
  return forced && *forced ? require_isa(forced) : available_isas().back();
}

}  // namespace fisherdiag
