#include "fisherdiag/base/aligned.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

// AddressSanitizer watches the heap's edges but not those of mapped pages.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#define FISHERDIAG_MAP_LARGE_BUFFERS
#include <sys/mman.h>
#endif

namespace fisherdiag {

namespace detail {

namespace {

constexpr std::size_t kCacheLine = 64;
[[maybe_unused]] constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

#ifdef FISHERDIAG_MAP_LARGE_BUFFERS
bool is_large(std::size_t bytes) {
  return bytes >= 2 * kHugePage;
}

/// Fresh pages are zero already, so large buffers are not written twice.
void* map_pages(std::size_t bytes) {
  const std::size_t size = round_up(bytes, kHugePage);
  char* base = static_cast<char*>(
      mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (base == MAP_FAILED) throw_bad_alloc();
  const std::size_t skip = (kHugePage - reinterpret_cast<std::uintptr_t>(base) % kHugePage) % kHugePage;
  if (skip) munmap(base, skip);
  if (skip < kHugePage) munmap(base + skip + size, kHugePage - skip);
  madvise(base + skip, size, MADV_HUGEPAGE);  // a hint; refusal costs only speed
  return base + skip;
}
#endif

}  // namespace

void throw_bad_alloc() {
  throw std::bad_alloc();
}

void* aligned_allocate(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(-1) / 2) throw_bad_alloc();
#ifdef FISHERDIAG_MAP_LARGE_BUFFERS
  if (is_large(bytes)) return map_pages(bytes);
#endif
  const std::size_t rounded = round_up(bytes, kCacheLine);
  void* pointer = std::aligned_alloc(kCacheLine, rounded);
  if (!pointer) throw_bad_alloc();
  std::memset(pointer, 0, rounded);
  return pointer;
}

void aligned_free(void* pointer, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef FISHERDIAG_MAP_LARGE_BUFFERS
  if (pointer && is_large(bytes)) {
    munmap(pointer, round_up(bytes, kHugePage));
    return;
  }
#endif
  std::free(pointer);
}

}  // namespace detail

std::size_t aligned_bytes(std::size_t bytes) {
  if (bytes == 0) return 0;
#ifdef FISHERDIAG_MAP_LARGE_BUFFERS
  if (detail::is_large(bytes)) return detail::round_up(bytes, detail::kHugePage);
#endif
  return detail::round_up(bytes, detail::kCacheLine) + detail::kCacheLine;
}

}  // namespace fisherdiag
