// path_of for libFuzzer: the linker sends the library's open, fstat, pread and close here (--wrap), and a
// read of the input is a copy. System calls would take most of the time of an execution.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "fuzz/target.hpp"

namespace fisherdiag::fuzz {

namespace {

/// A file that exists, for those who ask before they open it.
const std::string kPath = "/dev/null";
constexpr int kDescriptor = 1 << 20;
std::string_view content;

}  // namespace

const std::string& path_of(std::string_view bytes) {
  static std::string kept;  // callers pass temporaries
  content = kept.assign(bytes);
  return kPath;
}

}  // namespace fisherdiag::fuzz

using fisherdiag::fuzz::content;
using fisherdiag::fuzz::kDescriptor;

extern "C" {

int __real_open(const char* path, int flags, ...);
int __real_fstat(int descriptor, struct stat* status);
ssize_t __real_pread(int descriptor, void* out, std::size_t size, off_t offset);
int __real_close(int descriptor);

int __wrap_open(const char* path, int flags, unsigned mode) {
  return fisherdiag::fuzz::kPath == path ? kDescriptor : __real_open(path, flags, mode);
}

int __wrap_fstat(int descriptor, struct stat* status) {
  if (descriptor != kDescriptor) return __real_fstat(descriptor, status);
  *status = {};
  status->st_mode = S_IFREG;
  status->st_size = static_cast<off_t>(content.size());
  return 0;
}

ssize_t __wrap_pread(int descriptor, void* out, std::size_t size, off_t offset) {
  if (descriptor != kDescriptor) return __real_pread(descriptor, out, size, offset);
  const std::size_t begin = std::min(static_cast<std::size_t>(offset), content.size());
  const std::size_t count = std::min(size, content.size() - begin);
  std::memcpy(out, content.data() + begin, count);
  return static_cast<ssize_t>(count);
}

int __wrap_close(int descriptor) {
  return descriptor == kDescriptor ? 0 : __real_close(descriptor);
}
}
