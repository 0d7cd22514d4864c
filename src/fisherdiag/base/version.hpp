// Version of the library, as written into results.
#pragma once

#include <string_view>

namespace fisherdiag {

/// "MAJOR.MINOR.PATCH" of the build.
std::string_view version();

/// Compiler name and version the library was built with, e.g. "g++ 12.2.0".
std::string_view compiler();

}  // namespace fisherdiag
