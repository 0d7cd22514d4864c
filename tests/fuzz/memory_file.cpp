// path_of for the replay: a file in memory that has a path.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/target.hpp"

namespace fisherdiag::fuzz {

const std::string& path_of(std::string_view bytes) {
  static const int descriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  if (::ftruncate(descriptor, static_cast<off_t>(bytes.size())) != 0 ||
      ::pwrite(descriptor, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    std::abort();
  return path;
}

}  // namespace fisherdiag::fuzz
