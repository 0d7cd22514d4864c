#include "fisherdiag/base/aligned.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace fisherdiag::detail {

namespace {
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
}  // namespace

void throw_bad_alloc() { throw std::bad_alloc(); }

void* aligned_allocate(std::size_t bytes) {
  const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kCacheLine;
  if (bytes > static_cast<std::size_t>(-1) - alignment) throw_bad_alloc();
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* pointer = std::aligned_alloc(alignment, rounded);
  if (!pointer) throw_bad_alloc();
#ifdef __linux__
  if (alignment == kHugePage) madvise(pointer, rounded, MADV_HUGEPAGE);  // a hint; refusal costs only speed
#endif
  std::memset(pointer, 0, rounded);
  return pointer;
}

void aligned_free(void* pointer) noexcept { std::free(pointer); }

}  // namespace fisherdiag::detail
