#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

FormatError::FormatError(const std::string& path, const std::string& reason) : Error(path + ": " + reason) {}

FormatError::FormatError(const std::string& path, const std::string& reason, std::uint64_t offset)
    : Error(path + ": " + reason + " (at byte " + std::to_string(offset) + ")") {}

}  // namespace fisherdiag
