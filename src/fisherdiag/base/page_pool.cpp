#include "fisherdiag/base/page_pool.hpp"

#ifdef __linux__

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

namespace fisherdiag::detail {

namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kPage = 4096;  // a smaller one than the system's would only give back less

std::size_t round_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

/// Makes pages resident; where that is refused they become so one by one when they are used.
void populate(char* pages, std::size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  madvise(pages, bytes, MADV_POPULATE_WRITE);
#endif
}

/// Tells the system that nobody reads the whole pages of [begin, end) any more.
void forget_pages(char* begin, char* end) {
  begin += round_up(reinterpret_cast<std::uintptr_t>(begin), kPage) - reinterpret_cast<std::uintptr_t>(begin);
  end -= reinterpret_cast<std::uintptr_t>(end) % kPage;
  if (begin < end) madvise(begin, static_cast<std::size_t>(end - begin), MADV_DONTNEED);
}

}  // namespace

void* map_pages(std::size_t bytes) {
  char* base = static_cast<char*>(
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (base == MAP_FAILED) return nullptr;
  const std::size_t skip = (kHugePage - reinterpret_cast<std::uintptr_t>(base) % kHugePage) % kHugePage;
  if (skip) munmap(base, skip);
  if (skip < kHugePage) munmap(base + skip + bytes, kHugePage - skip);
  madvise(base + skip, bytes, MADV_HUGEPAGE);  // a hint; refusal costs only speed
  return base + skip;
}

void unmap_pages(void* pages, std::size_t bytes) noexcept {
  munmap(pages, bytes);
}

PagePool::Chunk* PagePool::chunk_with(std::size_t bytes) {
  for (Chunk& chunk : chunks_)
    if (chunk.used + bytes <= kChunk) return &chunk;
  chunks_.reserve(chunks_.size() + 1);  // may throw, so before there is a mapping to lose
  void* pages = map_pages(kChunk);
  if (!pages) return nullptr;
  chunks_.push_back({static_cast<char*>(pages), 0, 0, 0});
  return &chunks_.back();
}

void* PagePool::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::size_t size = round_up(bytes, kCacheLine);
  Chunk* chunk = chunk_with(size);
  if (!chunk) return nullptr;
  void* buffer = chunk->begin + chunk->used;
  chunk->used += size;
  ++chunk->live;
  const std::size_t resident = round_up(chunk->used, kHugePage);
  if (resident > chunk->resident) populate(chunk->begin + chunk->resident, resident - chunk->resident);
  chunk->resident = resident;
  return buffer;
}

void PagePool::give_back(void* buffer, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  char* begin = static_cast<char*>(buffer);
  const auto chunk = std::find_if(chunks_.begin(), chunks_.end(), [begin](const Chunk& c) {
    return begin >= c.begin && begin < c.begin + kChunk;
  });
  if (--chunk->live == 0) {
    unmap_pages(chunk->begin, kChunk);
    chunks_.erase(chunk);
  } else {
    forget_pages(begin, begin + bytes);
  }
}

}  // namespace fisherdiag::detail

#endif
