#include "fisherdiag/base/aligned.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

// AddressSanitizer watches the heap's edges but not those of mapped pages.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#define FISHERDIAG_MAP_LARGE_BUFFERS
#include "fisherdiag/base/page_pool.hpp"
#endif

namespace fisherdiag {

namespace detail {

namespace {

constexpr std::size_t kCacheLine = 64;

std::size_t round_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

#ifdef FISHERDIAG_MAP_LARGE_BUFFERS
bool is_pooled(std::size_t bytes) {
  return bytes >= kLeastPagedBytes && bytes <= PagePool::kMost;
}

bool is_mapped(std::size_t bytes) {
  return bytes > PagePool::kMost;
}

/// Never destroyed: buffers of other static objects may be given back after it would have been.
PagePool& pool() {
  static PagePool& pool = *new PagePool;
  return pool;
}
#endif

}  // namespace

void throw_bad_alloc() {
  throw std::bad_alloc();
}

void* aligned_allocate(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(-1) / 2) throw_bad_alloc();
#ifdef FISHERDIAG_MAP_LARGE_BUFFERS
  if (is_pooled(bytes) || is_mapped(bytes)) {
    void* pages = is_pooled(bytes) ? pool().take(bytes) : map_pages(round_up(bytes, kHugePage));
    if (!pages) throw_bad_alloc();
    return pages;  // fresh pages are zero already
  }
#endif
  const std::size_t rounded = round_up(bytes, kCacheLine);
  void* pointer = std::aligned_alloc(kCacheLine, rounded);
  if (!pointer) throw_bad_alloc();
  std::memset(pointer, 0, rounded);
  return pointer;
}

void aligned_free(void* pointer, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef FISHERDIAG_MAP_LARGE_BUFFERS
  if (pointer && is_pooled(bytes)) return pool().give_back(pointer, bytes);
  if (pointer && is_mapped(bytes)) return unmap_pages(pointer, round_up(bytes, kHugePage));
#endif
  std::free(pointer);
}

}  // namespace detail

std::size_t aligned_bytes(std::size_t bytes) {
  if (bytes == 0) return 0;
#ifdef FISHERDIAG_MAP_LARGE_BUFFERS
  if (detail::is_mapped(bytes)) return detail::round_up(bytes, detail::kHugePage);
#endif
  return detail::round_up(bytes, detail::kCacheLine) + detail::kCacheLine;
}

}  // namespace fisherdiag
