#include "fisherdiag/base/version.hpp"

namespace fisherdiag {

std::string_view version() {
  return FISHERDIAG_VERSION;
}

std::string_view compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return "unknown compiler";
#endif
}

}  // namespace fisherdiag
